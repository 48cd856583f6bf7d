/* SPDX-License-Identifier: Apache-2.0 */
/* Caches: each tensor and count of append, attend, step and prefill spoilt in each documented way. */
#include "bad_cache.h"
#include "spoil_tensor.h"

#include <stddef.h>
#include <string.h>

SPOIL(no_cache, zeta_cache_destroy(&c->cache))
SPOIL(no_args, c->args_pointer = NULL)
SPOIL(old_args, c->args.struct_size = 0)
SPOIL(new_args, c->args.struct_size += 8)
SPOIL(no_q, c->args.q = NULL)
SPOIL(no_k, c->args.k = NULL)
SPOIL(no_v, c->args.v = NULL)
SPOIL(no_out, c->args.out = NULL)
SPOIL(with_q, c->args.q = &c->q)
SPOIL(with_k, c->args.k = &c->k)
SPOIL(with_v, c->args.v = &c->v)
SPOIL(with_out, c->args.out = &c->out)
SPOIL(with_normaliser, c->args.normaliser = &c->normaliser)
SPOIL(with_neighbours, c->args.neighbours = &c->neighbours)
SPOIL(q_no_data, c->q.data = NULL)
SPOIL(v_misaligned, c->v.data = (char *)c->v.data + 2)
SPOIL(q_rank, c->q.rank = 3)
SPOIL(q_batches, c->q.shape[0] = B + 1)
SPOIL(q_heads, c->q.shape[1] = H - 1)
SPOIL(q_dk, c->q.shape[3] = DK - 1)
SPOIL(q_negative, c->q.shape[2] = -1)
SPOIL(k_heads, c->k.shape[1] = H)
SPOIL(k_dk, c->k.shape[3] = DK + 1)
SPOIL(k_overflow, c->k.shape[2] = INT64_MAX / 4)
SPOIL(v_positions, c->v.shape[2] += 1)
SPOIL(v_channels, c->v.shape[3] = DV - 1)
SPOIL(k_positions, c->k.shape[2] -= 1)
SPOIL(out_channels, c->out.shape[3] = DV + 1)
SPOIL(normaliser_heads, c->normaliser.shape[1] = G)
SPOIL(neighbours_slots, c->neighbours.shape[3] = K - 1)
SPOIL(two_positions, c->q.shape[2] = c->k.shape[2] = c->v.shape[2] = c->out.shape[2] = 2;
      c->args.normaliser = c->args.neighbours = NULL)
SPOIL(k_last_stride, c->k.stride[3] = 2)
SPOIL(v_negative_stride, c->v.stride[0] = -1)
SPOIL(out_zero_stride, c->out.stride[1] = 0)
SPOIL(k_type, c->k.dtype = ZETA_BF16)
SPOIL(v_type, c->v.dtype = ZETA_I8)
SPOIL(k_integers, c->k.dtype = ZETA_U64)
SPOIL(out_type, c->out.dtype = ZETA_I32)
SPOIL(normaliser_type, c->normaliser.dtype = ZETA_F16)
SPOIL(neighbours_type, c->neighbours.dtype = ZETA_F32)
SPOIL(q_device, c->q.device = ZETA_CUDA)
SPOIL(v_device, c->v.device = 3)
SPOIL(out_on_q, c->out.data = c->q.data)
SPOIL(out_on_v, c->out.data = c->v.data)
SPOIL(normaliser_on_out, c->normaliser.data = c->out.data)
SPOIL(neighbours_on_k, c->neighbours.data = c->k.data)
SPOIL(normaliser_on_counts, c->normaliser.data = c->counts)
SPOIL(counts_negative, c->counts[1] = -1)
SPOIL(counts_large, c->counts[0] = c->out.shape[2] + 1)
SPOIL(counts_large_append, c->counts[1] = PART + 1)
SPOIL(counts_misaligned, c->args.counts = (const int64_t *)(const void *)((const char *)c->counts + 4))
SPOIL(too_long, c->k.shape[2] = c->v.shape[2] = ZETA_MAX_KEYS - START + 1; c->args.counts = NULL;
      memset(c->k.stride, 0, 3 * sizeof c->k.stride[0]); memset(c->v.stride, 0, 3 * sizeof c->v.stride[0]))

/* As many queries as `rows`, all the same. */
static void ask(struct cache_call *c, int64_t rows) {
    static float out[B * H * (START + 1) * DV];
    int64_t shape[4];
    memcpy(shape, c->out.shape, sizeof shape);
    c->q.shape[2] = shape[2] = rows;
    memset(c->q.stride, 0, 3 * sizeof c->q.stride[0]);
    c->out = zeta_tensor_contiguous(out, ZETA_F32, 4, shape);
    c->args.counts = NULL;
    c->args.normaliser = c->args.neighbours = NULL;
}
SPOIL(many_queries, ask(c, START + 1))
SPOIL(old_queries, ask(c, START - GONE + 1))

static const struct bad_cache tensors[] = {
    {"cache NULL", ON_CACHE, ZETA_ERROR_ARGUMENT, "cache is NULL", no_cache},
    {"args NULL", TENSORS, ZETA_ERROR_ARGUMENT, "args is NULL", no_args},
    {"older args", TENSORS, ZETA_ERROR_STRUCT_SIZE, "args.struct_size", old_args},
    {"newer args", TENSORS, ZETA_ERROR_STRUCT_SIZE, "args.struct_size", new_args},
    {"q NULL", ASKS, ZETA_ERROR_ARGUMENT, "q is NULL", no_q},
    {"k NULL", ADDS, ZETA_ERROR_ARGUMENT, "k is NULL", no_k},
    {"v NULL", ADDS, ZETA_ERROR_ARGUMENT, "v is NULL", no_v},
    {"out NULL", ASKS, ZETA_ERROR_ARGUMENT, "out is NULL", no_out},
    {"q given", IN(APPEND), ZETA_ERROR_ARGUMENT, "q is given but must be NULL in zeta_cache_append", with_q},
    {"k given", IN(ATTEND), ZETA_ERROR_ARGUMENT, "k is given but must be NULL in zeta_cache_attend", with_k},
    {"v given", IN(ATTEND), ZETA_ERROR_ARGUMENT, "v is given", with_v},
    {"out given", IN(APPEND), ZETA_ERROR_ARGUMENT, "out is given", with_out},
    {"normaliser given", IN(APPEND), ZETA_ERROR_ARGUMENT, "normaliser is given", with_normaliser},
    {"neighbours given", IN(APPEND), ZETA_ERROR_ARGUMENT, "neighbours is given", with_neighbours},
    {"q no data", ASKS, ZETA_ERROR_ARGUMENT, "q.data is NULL", q_no_data},
    {"v misaligned", ADDS, ZETA_ERROR_ARGUMENT, "v.data", v_misaligned},
    {"q rank", ASKS, ZETA_ERROR_SHAPE, "q has rank 3", q_rank},
    {"q batches", ASKS, ZETA_ERROR_SHAPE, "the batches of the cache", q_batches},
    {"q heads", ASKS, ZETA_ERROR_SHAPE, "the query heads of the cache", q_heads},
    {"q dk", ASKS, ZETA_ERROR_SHAPE, "the dk of the cache", q_dk},
    {"q negative", ASKS, ZETA_ERROR_SHAPE, "extent 2 is negative", q_negative},
    {"k heads", ADDS, ZETA_ERROR_SHAPE, "the key heads of the cache", k_heads},
    {"k dk", ADDS, ZETA_ERROR_SHAPE, "the dk of the cache", k_dk},
    {"k overflow", ADDS, ZETA_ERROR_SHAPE, "overflow", k_overflow},
    {"v positions", IN(APPEND), ZETA_ERROR_SHAPE, "the positions of k", v_positions},
    {"v positions", BOTH, ZETA_ERROR_SHAPE, "the positions of q", v_positions},
    {"v channels", ADDS, ZETA_ERROR_SHAPE, "the dv of the cache", v_channels},
    {"k positions", BOTH, ZETA_ERROR_SHAPE, "the positions of q", k_positions},
    {"out channels", ASKS, ZETA_ERROR_SHAPE, "the dv of the cache", out_channels},
    {"normaliser heads", ASKS, ZETA_ERROR_SHAPE, "the query heads of the cache", normaliser_heads},
    {"neighbours slots", ASKS, ZETA_ERROR_SHAPE, "neighbours of the cache", neighbours_slots},
    {"step of two", IN(STEP), ZETA_ERROR_SHAPE, "the one position of a step", two_positions},
    {"k last stride", ADDS, ZETA_ERROR_STRIDE, "stride 2 on its last axis", k_last_stride},
    {"v negative stride", ADDS, ZETA_ERROR_STRIDE, "negative stride -1", v_negative_stride},
    {"out zero stride", ASKS, ZETA_ERROR_STRIDE, "out has stride 0", out_zero_stride},
    {"k type", BOTH, ZETA_ERROR_DTYPE, "k has element type ZETA_BF16", k_type},
    {"v type", ADDS, ZETA_ERROR_DTYPE, "v.dtype is 5", v_type},
    {"k integers", ADDS, ZETA_ERROR_DTYPE, "k has element type ZETA_U64", k_integers},
    {"out type", ASKS, ZETA_ERROR_DTYPE, "out has element type ZETA_I32", out_type},
    {"normaliser type", ASKS, ZETA_ERROR_DTYPE, "normaliser has element type", normaliser_type},
    {"neighbours type", ASKS, ZETA_ERROR_DTYPE, "neighbours has element type", neighbours_type},
    {"q device", ASKS, ZETA_ERROR_DEVICE, "q.device", q_device},
    {"v device", ADDS, ZETA_ERROR_DEVICE, "v.device", v_device},
    {"out on q", ASKS, ZETA_ERROR_OVERLAP, "out", out_on_q},
    {"out on v", BOTH, ZETA_ERROR_OVERLAP, "out", out_on_v},
    {"normaliser on out", ASKS, ZETA_ERROR_OVERLAP, "normaliser", normaliser_on_out},
    {"neighbours on k", BOTH, ZETA_ERROR_OVERLAP, "neighbours", neighbours_on_k},
    {"normaliser on counts", ASKS, ZETA_ERROR_OVERLAP, "counts", normaliser_on_counts},
    {"counts -1", TENSORS, ZETA_ERROR_ARGUMENT, "counts[1] is -1", counts_negative},
    {"counts n + 1", ASKS, ZETA_ERROR_ARGUMENT, "counts[0] is", counts_large},
    {"counts n + 1", IN(APPEND), ZETA_ERROR_ARGUMENT, "counts[1] is 41: must be 0 to 40", counts_large_append},
    {"counts misaligned", TENSORS, ZETA_ERROR_ARGUMENT, "counts is", counts_misaligned},
    {"beyond 2^24", IN(APPEND), ZETA_ERROR_SHAPE, "sequence 0 has length 300 and 16776917 positions", too_long},
    {"queries beyond the length", IN(ATTEND), ZETA_ERROR_SHAPE, "sequence 0 has length 300 but 301 queries",
     many_queries},
    {"queries before the evicted", IN(ATTEND), ZETA_ERROR_SHAPE, "at position 99: positions before 100 were evicted",
     old_queries},
};

#define AT(field) offsetof(struct cache_call, field)

static const struct place {
    const char *name;
    unsigned functions;
    enum role role;
    size_t tensor, pointer;
} places[] = {
    {"q", ASKS, INPUT, AT(q), AT(args.q)},
    {"k", ADDS, INPUT, AT(k), AT(args.k)},
    {"v", ADDS, INPUT, AT(v), AT(args.v)},
    {"out", ASKS, OUTPUT, AT(out), AT(args.out)},
    {"normaliser", ASKS, OUTPUT, AT(normaliser), AT(args.normaliser)},
    {"neighbours", ASKS, OUTPUT, AT(neighbours), AT(args.neighbours)},
};
enum { PLACES = sizeof places / sizeof places[0] };

static zeta_tensor *tensor_of(struct cache_call *call, const struct place *place) {
    return (zeta_tensor *)(void *)((char *)call + place->tensor);
}

static void refuse(struct cache_call *call, enum cache_function function, const char *how, zeta_status expected,
                   const char *word, const char *other) {
    char detail[160];
    const zeta_status status = cache_call_run(call, function);
    snprintf(detail, sizeof detail, "[%s and %s: %s in %s]", word, other, how, cache_function_names[function]);
    CHECK_STATUS(status, expected, detail);
    if (status == expected)
        CHECK_WITH(strstr(zeta_last_error(), word) != NULL && strstr(zeta_last_error(), other) != NULL, detail);
    CHECK_WITH(cache_call_outputs_untouched(call), detail);
    CHECK_WITH(cache_equals(call->cache, call->buffer, call->size), detail);
}

/* Spoilt in each way that spoils any tensor, and an output where another tensor is. The cache stays as it was. */
static void spoil(struct cache_call *call, enum cache_function function, const struct place *place) {
    const void *misaligned = (const char *)call + place->tensor + 4;
    int i;
    for (i = 0; i < tensor_spoil_count; ++i) {
        if (tensor_spoils[i].where == IN_OUTPUTS && place->role != OUTPUT) continue;
        cache_call_aim(call, function);
        if (tensor_of(call, place)->shape[tensor_of(call, place)->rank - 1] == 1 && tensor_spoils[i].of_last_stride)
            continue; /* a step's normaliser: the stride of an axis of extent 1 is ignored */
        tensor_spoils[i].apply(tensor_of(call, place));
        refuse(call, function, tensor_spoils[i].name, tensor_spoils[i].status, place->name, tensor_spoils[i].word);
    }
    cache_call_aim(call, function);
    memcpy((char *)call + place->pointer, &misaligned, sizeof misaligned);
    refuse(call, function, "view misaligned", ZETA_ERROR_ARGUMENT, place->name, " is 0x");
    for (i = 0; i < PLACES && place->role == OUTPUT; ++i) {
        if (&places[i] == place || (places[i].functions & IN(function)) == 0) continue;
        cache_call_aim(call, function);
        tensor_of(call, place)->data = tensor_of(call, &places[i])->data;
        refuse(call, function, "shares memory", ZETA_ERROR_OVERLAP, place->name, places[i].name);
    }
}

void test_cache_tensors(struct cache_call *call, zeta_context *context) {
    int function, i;
    run_bad_caches(call, context, tensors, sizeof tensors / sizeof tensors[0]);
    cache_call_init(call, context, ZETA_F32);
    for (i = 0; i < PLACES; ++i)
        for (function = 0; function < CACHE_FUNCTIONS; ++function)
            if ((places[i].functions & IN(function)) != 0) spoil(call, (enum cache_function)function, &places[i]);
    cache_call_end(call);
}
