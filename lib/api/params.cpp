// SPDX-License-Identifier: Apache-2.0
// Defaults of the params and args structs of an attention call. zeta_codes_bits, which needs no context, is here too.
#include <algorithm>

#include "zeta/attention.h"

void zeta_attention_params_init(zeta_attention_params *params) {
    if (params == nullptr) return;
    *params = zeta_attention_params{};
    params->struct_size = sizeof *params;
    params->neighbours = 32;
    params->window = 0;
    params->select = ZETA_SELECT_WINDOW;
    params->score = ZETA_SCORE_CAUCHY;
    params->causal = 1;
    params->mean = ZETA_DEFAULT;
    params->chunk = 1;
    params->local = ZETA_DEFAULT;
    params->grid.kind = ZETA_GRID_SQUASH;
}

void zeta_forward_args_init(zeta_forward_args *args) {
    if (args == nullptr) return;
    *args = zeta_forward_args{};
    args->struct_size = sizeof *args;
}

void zeta_backward_args_init(zeta_backward_args *args) {
    if (args == nullptr) return;
    *args = zeta_backward_args{};
    args->struct_size = sizeof *args;
}

int32_t zeta_codes_bits(int32_t dk) {
    return dk < 1 || dk > ZETA_MAX_DK ? 0 : std::min(20, 40 / dk);
}
