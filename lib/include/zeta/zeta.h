/* SPDX-License-Identifier: Apache-2.0 */
/* zeta: ZETA attention for CPUs. Includes every public C header but dlpack.h. */
#ifndef ZETA_ZETA_H
#define ZETA_ZETA_H

#include "attention.h"
#include "cache.h"
#include "codes.h"
#include "context.h"
#include "types.h"
#include "version.h"

#endif
