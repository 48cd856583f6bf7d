/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to spoil any tensor view, whatever call it belongs to. */
#ifndef ZETA_TESTS_CAPI_SPOIL_TENSOR_H
#define ZETA_TESTS_CAPI_SPOIL_TENSOR_H

#include "zeta/zeta.h"

enum role { INPUT, OUTPUT };

struct tensor_spoil {
    const char *name;
    enum { ALWAYS, IN_RUNS, IN_OUTPUTS } where; /* IN_RUNS: not in size queries, which look at no data */
    zeta_status status;
    int of_last_stride;           /* no error if the last extent is 1 */
    const char *word;             /* the sentence begins with the tensor's name and has this word */
    void (*apply)(zeta_tensor *); /* to a legal view of rank 1, 3 or 4 whose extents are above 1 */
};

extern const struct tensor_spoil tensor_spoils[];
extern const int tensor_spoil_count;

#endif
