# SPDX-License-Identifier: Apache-2.0
# What mutate.py breaks, one at a time, by stage: what is then wrong, the lines, and the tests that should fail. A test
# is "PROGRAM: FILTER, FILTER" (doctest's filter over tests/PROGRAM; capi: the name of its test), the likeliest first.
# Each old text stands exactly once in its file: short, and where a rule is stated rather than how it is made fast. A
# mutant that changes no promise, for instance only the order of work, does not belong here.
from collections import namedtuple

Mutant = namedtuple('Mutant', 'name broken file changes tests')
MUTANTS = []


def mutant(name, broken, file, changes, *tests):
    MUTANTS.append(Mutant(name, broken, file, changes if isinstance(changes, list) else [changes], tests))


SWEEP = 'property: sweep*'
SMALL = 'property: sweep: small*'
CAUSAL = 'property: causal: later*'
DETERMINISTIC = 'property: deterministic*'
MEMORY = 'property: memory*'
REVERSED = 'hn::Lt(hn::Xor(id, hn::Set(du, 0xffffffu))'  # compares positions the other way round

# ---- codes and their order (spec section 2) ----------------------------------------------------------------------

mutant('code-reciprocal', 'The division by scale is a product with its reciprocal.', 'simd/codes.cpp',
       ('hn::Div(x, hn::Set(d, axis.scale))', 'hn::Mul(x, hn::Set(d, 1.0f / axis.scale))'), 'kernels: cells*')
mutant('code-nan', 'NaN goes to the last cell.', 'simd/codes.cpp',
       ('clean = hn::IfThenElseZero(number, place);',
        'clean = hn::IfThenElse(hn::Eq(x, x), hn::IfThenElseZero(number, place), hn::Set(d, last));'),
       'kernels: cells*')
mutant('code-grid-head', 'Every head has the grid of head 0.', 'lib/cpu/sort.cpp',
       ('grid.heads > 0 ? key_head * dk + e : 0;', 'grid.heads > 0 ? e : 0;'), 'property: codes*')
mutant('sort-round', 'An odd number of merge rounds leaves the result in the other array.', 'lib/cpu/sort.cpp',
       ('if (from == words) return;', 'if (from != nullptr) return;'), 'property: large: window*')

# ---- which keys are searchable (section 3) -----------------------------------------------------------------------

mutant('causal-self', 'Without a local window a query searches itself.', 'lib/cpu/unit.hpp',
       ('p.chunk == 1 ? t : t / p.chunk', 'p.chunk == 1 ? t + 1 : t / p.chunk'), SMALL)
mutant('causal-local', 'The oldest local position is searchable too, and attended twice.', 'lib/cpu/unit.hpp',
       ('std::min(chunk, t + 1 - p.local)', 'std::min(chunk, t + 2 - p.local)'), SMALL)
mutant('causal-chunk', 'Chunks of packed sequences count from the first row of all.', 'lib/cpu/unit.hpp',
       ('t / p.chunk * p.chunk; // a', '(t + u.k_start) / p.chunk * p.chunk - u.k_start; // a'), SMALL)
mutant('local-first', 'Local positions before `first` are attended.', 'lib/cpu/unit.hpp',
       ('begin = std::max(p.first, t + 1 - p.local);', 'begin = std::max<int64_t>(0, t + 1 - p.local);'), SMALL)
mutant('window-first', 'A window reaches before `first`.', 'lib/cpu/levels.cpp',
       ('first_ = std::min(first, m);', 'first_ = std::min(first, 0u);'), SMALL)
mutant('level-cap', 'A query goes to a level that lacks its newest searchable key.', 'lib/cpu/window.cpp',
       ('if (limit_of(p, unit, middle) > cap)', 'if (limit_of(p, unit, middle) > cap + 1)'), 'property: sweep: one*')
mutant('grouped-heads', 'Query head h reads key head h mod G.', 'lib/cpu/attend.cpp',
       ('part, unit.key_head * p.heads_per_key() + i,', 'part, i * p.key_heads + unit.key_head,'), SMALL)

# ---- windows and the nearest of them (section 4) -----------------------------------------------------------------

mutant('window-half', 'Half of an odd K is rounded up.', 'simd/window.cpp',
       ('walk_back(level, rank, limit, window / 2);', 'walk_back(level, rank, limit, (window + 1) / 2);'),
       'kernels: *window*')
mutant('window-half-near', 'Half of an odd K is rounded up where a window lies in three blocks.', 'simd/window.cpp', [
    ('before, window / 2, keep_high', 'before, (window + 1) / 2, keep_high'),
    ('after, window - window / 2, keep_low', 'after, window - (window + 1) / 2, keep_low')],
       'kernels: the lists of a tile*', SMALL)
mutant('window-equal', 'Keys with the code of the query count as above it.', 'lib/cpu/window.cpp',
       ('{ return (words_[i] | kPositionMask); };',
        '{ const uint64_t w = words_[i] & ~kPositionMask; return w == 0 ? w : w - 1; };'), SMALL)
mutant('window-refill', 'Where keys above run out, none are taken from below.', 'simd/window.cpp',
       ('if (above.found < window - below.found && below.found == window / 2)', 'if (window == ~0u)'),
       'kernels: *window*')
mutant('distance-fused', 'Distances of a window fuse product and sum.', 'simd/window.cpp',
       ('hn::Add(distance, hn::Mul(difference, difference));\n            }\n            hn::StoreU(squeeze_bits',
        'hn::MulAdd(difference, difference, distance);\n            }\n            hn::StoreU(squeeze_bits'),
       'kernels: the lists of a tile*', 'property: select*')
mutant('nearest-tie', 'Of equally near candidates the older are kept.', 'simd/select.cpp', [
    ('hn::AndNot(hn::Lt(id, hn::Set(du, first)), tied);',
     f'hn::AndNot({REVERSED}, hn::Set(du, first)), tied);'),
    ('hn::AndNot(hn::Lt(id, first), tied));\n        if (!whole)',
     f'hn::AndNot({REVERSED}, first), tied));\n        if (!whole)'),
    ('hn::AndNot(hn::Lt(id, first), tied));\n        if (n - j',
     f'hn::AndNot({REVERSED}, first), tied));\n        if (n - j')], SMALL)
mutant('nearest-nan', 'A NaN distance is the smallest.', 'simd/select.cpp',
       ('return hn::BitCast(I32(), hn::Min(hn::BitCast(du, distance), hn::Set(du, kInfinity)));',
        'const auto b = hn::BitCast(du, distance);\n'
        '    return hn::BitCast(I32(), hn::IfThenZeroElse(hn::Gt(b, hn::Set(du, kInfinity)), b));'), SMALL)
mutant('slots-order', 'Neighbours are not in ascending order.', 'lib/cpu/attend.cpp',
       ('std::sort(out, out + lists.count[slot]);', ''), SMALL)
mutant('cost-runs', 'Runs of keys that are not searchable are walked through.', 'simd/window.cpp',
       ('previous_block(level, block - 1, limit);', 'block - 1;'), 'kernels: a run*')

# ---- exact selection (section 4) ---------------------------------------------------------------------------------

mutant('exact-fused', 'Distances of exact selection fuse product and sum.', 'simd/exact_search.cpp',
       ('hn::Add(sum, hn::Mul(gap, gap));\n            }', 'hn::MulAdd(gap, gap, sum);\n            }'),
       'property: select*')
mutant('exact-tie', 'Of equally near keys the older are kept.', 'simd/exact_cut.cpp', [
    ('hn::Gt(hn::BitCast(I(), hn::LoadU(U(), ids + i)), before);',
     'hn::Gt(hn::Xor(hn::BitCast(I(), hn::LoadU(U(), ids + i)), hn::Set(I(), 0xffffff)), before);'),
    ('hn::Gt(p, before)));', 'hn::Gt(hn::Xor(p, hn::Set(I(), 0xffffff)), before)));')], 'unit: exact: small*')
mutant('exact-prune', 'A box that touches the bound is left out.', 'simd/exact_search.cpp',
       ('hn::Le(gap, hn::LoadU(d, bounds + j))', 'hn::Lt(gap, hn::LoadU(d, bounds + j))'), 'unit: exact: small*')
mutant('exact-scan', 'A key at the bound is left out.', 'simd/exact_search.cpp',
       ('            const MI take = hn::And(int_mask(hn::Le(sum, vbound))',
        '            const MI take = hn::And(int_mask(hn::Lt(sum, vbound))'), 'unit: exact: small*', SMALL)
mutant('exact-bound', 'Bounds of boxes are rounded otherwise than the distances they bound.', 'simd/exact_search.cpp',
       ('sum = hn::Add(sum, reach_square(lo, hi, hn::Set(d, q[e])));',
        'const VF at = hn::Set(d, q[e]), gap = hn::Sub(at, hn::Min(hn::Max(at, lo), hi));\n'
        '            sum = hn::MulAdd(gap, gap, sum);'), 'unit: exact: larger*')
mutant('exact-newest', 'A box is judged by a position older than its newest.', 'lib/cpu/exact_alone.cpp',
       ('child = {rank_of(distances[j], newest),', 'child = {rank_of(distances[j], newest / 2),'),
       'unit: exact: larger*')
mutant('exact-level', 'A query is searched for in a level that lacks its newest keys.', 'lib/cpu/exact_build.cpp',
       ('i -= (count >> i) < searchable;', ''), 'unit: exact: small*', SWEEP)
mutant('cost-crowds', 'Keys of one place on the curve stay in order of position.', 'lib/cpu/exact_order.cpp',
       ('constexpr size_t kCrowd = 64;', 'constexpr size_t kCrowd = size_t{1} << 30;'), 'unit: exact: few*')
mutant('cost-climb', 'A query climbs to every block, one by one.', 'lib/cpu/exact.cpp',
       ('constexpr uint32_t kClimb = 8;', 'constexpr uint32_t kClimb = 1;'), 'unit: exact: many*')
mutant('cost-guess', 'A guess that serves no query is kept.', 'lib/cpu/exact.cpp',
       ('learn(tile, alone == active ? active : active & ~alone);', 'learn(tile, active & ~alone);'), 'unit: exact: a guess*')
mutant('cost-ties', 'Keys as far as the K-th are all looked at.', 'lib/cpu/exact_alone.cpp', [
    ('if (step.rank > at_.last) continue;', ''), ('if (child.rank > at_.last) continue;', '')], 'unit: exact: few*')

# ---- history mean (section 4) ------------------------------------------------------------------------------------

mutant('mean-future', 'The mean of position t holds position t + 1.', 'simd/mean.cpp',
       ('const auto own = access.template row<Row>(row + at);',
        'const auto own = access.template row<Row>(row + (r + 1 < p.n ? p.stride : 0) + at);'), CAUSAL)
mutant('mean-float32', 'Prefix sums are kept in float32.', 'simd/mean.cpp',
       ('hn::StoreU(sum, d, running + c);', 'hn::StoreU(hn::PromoteTo(d, round_to_f32(sum)), d, running + c);'),
       'kernels: prefix sums*')
mutant('mean-blocks32', 'Sums before a block are kept in float32.', 'lib/cpu/mean.cpp',
       ('before_[(b + 1) * channels_ + c] = before[c] + running[c];',
        'before_[(b + 1) * channels_ + c] = float(before[c] + running[c]);'), 'property: sweep: means*')
mutant('mean-subtract', 'Sums before a block come from the sum of all by subtraction.', 'lib/cpu/mean.cpp',
       ('        if (causal_) each(',
        '        for (size_t b = from; b <= to; ++b)\n'
        '            for (size_t c = 0; c < channels_; ++c)\n'
        '                before_[b * channels_ + c] = before_[to * channels_ + c] -\n'
        '                                             (before_[to * channels_ + c] - before_[b * channels_ + c]);\n'
        '        if (causal_) each('), 'property: deterministic: means*')
mutant('mean-threads', 'Blocks of the sums are as long as there are threads.', 'lib/cpu/mean.cpp',
       ('block_ = mean_block(channels_);', 'block_ = mean_block(channels_) / size_t(executor.workers());'),
       'property: deterministic: means*')

mutant('mixed-shares', 'The shares of own value and mean value are exchanged.', 'simd/near.cpp',
       ('hn::StoreInterleaved2(own_share, mean_share, d, shares + 2 * i);',
        'hn::StoreInterleaved2(mean_share, own_share, d, shares + 2 * i);'), SMALL)
mutant('mixed-first', 'Before `first` a token attends itself through the mixed mean.', 'lib/cpu/history.cpp',
       ('shares_[2 * i] = 0;\n            shares_[2 * i + 1] = 1;', ''), SMALL)
mutant('mixed-apart', 'Mixed rows that are not finite are kept.', 'simd/mean.cpp',
       ('if (HWY_UNLIKELY(!all_finite(zero))) __atomic_store_n(p.apart + r, uint8_t{1}, __ATOMIC_RELAXED);', ''), 'kernels: means*', 'property: sweep*')
mutant('mixed-restore', 'Rows that stay apart are not made mean rows again.', 'lib/cpu/mean.cpp',
       ('if (apart[i] == 0) continue;', 'if (apart[i] != 2) continue;'), 'property: sweep*')
mutant('mixed-decode', 'Decode takes own value and mean apart.', 'lib/cache/decode.cpp',
       ('    if (mixed != nullptr) {\n', '    if (mixed != nullptr && p_.dv == 0) {\n'), 'property: cache*')

# ---- weights and outputs (section 5) -----------------------------------------------------------------------------

mutant('maximum-none', 'Exponentials do not subtract their maximum.', 'lib/cpu/weigh.cpp',
       ('w.minimum = kernels.attend_minimum(p.score, w.distances, w.dots, counts[s]);',
        'w.minimum = std::min(0.0f, kernels.attend_minimum(p.score, w.distances, w.dots, counts[s]));'), SWEEP)
mutant('maximum-wide', 'Exponentials overlook the maximum of a wide local window.', 'lib/cpu/weigh.cpp',
       ('minimum = std::min(minimum, kernels.attend_minimum(p.score, work.slice_distances, work.slice_dots, n));',
        '(void)n;'), SWEEP)
mutant('infinite-dot', 'dot: a key at infinite distance has weight.', 'simd/weights-inl.hpp',
       ('auto x = hn::Add(dot, minimum);\n    x = hn::IfThenElse(hn::Eq(distance, hn::Set(d, kInfinity)),',
        'auto x = hn::Add(dot, minimum);\n    x = hn::IfThenElse(hn::Eq(distance, hn::Set(d, -1.0f)),'), SMALL)
mutant('infinite-all', 'A row whose keys are all infinitely far is 0, not NaN.', 'simd/attend.cpp',
       ('hn::Div(hn::LoadU(d, weights + i), hn::Set(d, sum))',
        'hn::Div(hn::LoadU(d, weights + i), hn::Set(d, sum == 0 ? 1.0f : sum))'), SMALL)
mutant('normaliser-empty', 'The normaliser of an empty set is 0 for exponentials.', 'lib/cpu/weigh.cpp',
       (': exponential(p.score) ? -std::numeric_limits<float>::infinity()', ': p.score < 0 ? -1.0f'), SMALL,
       'property: given*')
mutant('range', 'Sums that leave the range of float32 are not taken again in float64.', 'lib/cpu/attend.cpp',
       ('if (!w.empty && !in_range)', 'if (!in_range && dv == 0)'), 'property: sweep: values*')
mutant('rounding-away', 'Ties of bfloat16 round away from zero.', 'simd/convert.cpp',
       ('hn::Add(odd, hn::Set(d, 0x7FFFu))', 'hn::Set(d, 0x8000u)'), 'kernels: rounding*')
mutant('rounding-small', 'Denormal float16 numbers are 0.', 'simd/convert.cpp',
       ('small = hn::Sub(moved, hn::BitCast(d, half));', 'small = hn::Sub(moved, moved);'), 'kernels: rounding*')
mutant('read-past', 'The load of the end of a row reads on.', 'simd/rows-inl.hpp', [
    ('return hn::MaskedLoad(hn::FirstN(d, n), d, p);', 'return hn::IfThenElseZero(hn::FirstN(d, n), hn::LoadU(d, p));'),
    ('for (size_t i = 0; i < n; ++i) buffer[i] = p[i];\n    return',
     'for (size_t i = 0; i <= n; ++i) buffer[i] = p[i];\n    return')], 'property: safe*')
mutant('write-gap', 'The first element of the gap between rows of out is written.', 'lib/cpu/attend.cpp',
       ('narrow(*keys.kernels, t.out.dtype, row, dv, out);',
        'narrow(*keys.kernels, t.out.dtype, row, dv + (t.out.row_stride > int64_t(dv)), out);'), SMALL)
mutant('values-chain', 'Lists are added in chains of 64.', 'simd/values.cpp',
       ('constexpr size_t kSlice = 44;', 'constexpr size_t kSlice = 64;'), 'kernels: equal values*')
mutant('wide-float32', 'Slices of a wide local window are added in float32.', 'lib/cpu/wide_sum.hpp',
       ('sum_[c] += double(part_[c]);', 'sum_[c] = double(float(sum_[c]) + part_[c]);'), 'property: sweep: local windows*')
mutant('nan-bits', 'A result is whichever NaN came of the sum.', 'lib/cpu/rows.hpp',
       ('return x == x ? float(x) : std::numeric_limits<float>::quiet_NaN();', 'return float(x);'),
       'property: sweep: a NaN*')

# ---- dense control -----------------------------------------------------------------------------------------------

mutant('dense-expand', 'Dense distances come from the expansion of the square.', 'lib/cpu/dense_math.cpp',
       ('return difference * difference;', 'return a * a + b * b - Batch(2.0f) * a * b + Batch(0.0f) * difference;'),
       'property: dense*')
mutant('dense-rows', 'The way of summing depends on which positions of a block are queries.', 'lib/cpu/dense.cpp',
       ('for (int64_t position = start_; position < start_ + int64_t(kDenseRows); ++position)',
        'for (int64_t position = first_; position < last_; ++position)'), 'property: dense: the same*',
       'property: causal: the dense*')
mutant('dense-maximum', 'Dense exponentials overlook the mean when they look for their maximum.', 'lib/cpu/dense.cpp',
       ('lower(position, 1);', ''), 'property: dense*')
mutant('blas-threads', 'The number of threads the host gave OpenBLAS does not come back.', 'lib/blas.cpp',
       ('if (--users == 0 && threads_before != 1)', 'if (--users < 0)'), 'unit: blas*')

# ---- backward (section 6) ----------------------------------------------------------------------------------------

mutant('gamma-batches', 'The gradient of gamma is that of the last batch.', 'lib/backward.cpp',
       ('sum += gamma_[i * p_.query_heads + h];', 'sum = gamma_[i * p_.query_heads + h];'), 'property: gradients*')
mutant('heads-shared', 'Query heads that share a key head are not summed.', 'lib/cpu/backward.cpp',
       ('for (int64_t i = 0; i < p.heads_per_key(); ++i) {',
        'for (int64_t i = p.heads_per_key() - 1; i < p.heads_per_key(); ++i) {'), 'property: gradients*')
mutant('accumulate', 'The gradient of v is added to what the array held.', 'lib/cpu/backward.cpp',
       ('if (width == 0) return;', 'if (width == 0 || channels.rows != slice_) return;'), 'property: gradients*')
mutant('write-gap-gradient', 'The first element of the gap between rows of the gradient of v is written.',
       'lib/cpu/backward.cpp',
       ('std::fill_n(channels.rows + j * channels.stride, width, 0.0f);',
        'std::fill_n(channels.rows + j * channels.stride, width + 1, 0.0f);'), SMALL)
mutant('scratch-dirty', 'Working memory is taken for zeros.', 'lib/cpu/backward.cpp',
       ('std::fill(key_grad_ + begin * stride, key_grad_ + end * stride, 0.0);', ''), SMALL)
mutant('zero-smooth', 'Something flows where the distance is 0, if the score is smooth there.', 'simd/slopes.cpp',
       ('if constexpr (kScore != kDot) nothing', 'if constexpr (kScore == kLaplace || kScore == kInverse) nothing'),
       'property: gradients*')
mutant('infinite-distance', 'A key at infinite distance makes the gradient of gamma NaN.', 'simd/slopes.cpp',
       ('auto share = hn::IfThenZeroElse(far, hn::Mul(e, of_gamma));', 'auto share = hn::Mul(e, of_gamma);'),
       'property: gradients*')
mutant('relative', 'Products with values are not taken relative to the output.', 'simd/slopes.cpp',
       ('hn::Sub(load(products + i, left), mean)', 'load(products + i, left)'), 'property: gradients*')
mutant('wide-last', 'The gradient of keys lacks the last query of wide local windows.', 'lib/cpu/backward_wide.cpp',
       ('last - 1 + p.local - origin', 'last - 2 + p.local - origin'), SWEEP)
mutant('reference-first', 'Products with values are relative to the first key, however little it weighs.',
       'lib/cpu/backward_pairs.cpp',
       ('value_row(c, kernels, w.heaviest, work.reference);',
        'value_row(c, kernels, w.count > 0 ? w.ids[0] : w.wide.begin, work.reference);'), 'property: gradients: huge*')
mutant('average-sum', 'The mean product is a sum by weights that do not add up to 1.', 'lib/cpu/backward_pairs.cpp',
       ('const double inverse = 1 / weights;', 'const double inverse = 1;'), 'property: gradients: rows where the mean*')
mutant('values-hub', 'Values of keys that very many queries attend are summed in float32.', 'lib/cpu/backward.cpp',
       ('return many && fits ? width : 0;', 'return many && fits ? 0 : 0;'), 'property: gradients: keys that very many*')

# ---- threads, and what must not change the bits (promises 1 to 3) ------------------------------------------------

mutant('order-threads', 'The order of the weighted sum depends on the number of threads.', 'lib/cpu/attend.cpp',
       ('weigh_tile(run.keys, lists, work.weighed, work.weigh);',
        'for (uint32_t i = 0; run.executor.workers() > 1 && i < lists.queries; ++i) {\n'
        '        std::reverse(lists.ids_of(i), lists.ids_of(i) + lists.count[i]);\n'
        '        std::reverse(lists.distances_of(i), lists.distances_of(i) + lists.count[i]);\n    }\n'
        '    weigh_tile(run.keys, lists, work.weighed, work.weigh);'), DETERMINISTIC)


def rotated(by):
    """Lists that begin `by` places later, and so are summed in another order."""
    rule = 'weigh_tile(run.keys, lists, work.weighed, work.weigh);'
    return rule, (f'for (uint32_t i = 0; i < lists.queries; ++i) {{\n        if (lists.count[i] == 0) continue;\n'
                  f'        const uint32_t by = uint32_t({by}) % lists.count[i];\n'
                  '        std::rotate(lists.ids_of(i), lists.ids_of(i) + by, lists.ids_of(i) + lists.count[i]);\n'
                  '        std::rotate(lists.distances_of(i), lists.distances_of(i) + by,\n'
                  '                    lists.distances_of(i) + lists.count[i]);\n    }\n    ' + rule)


mutant('order-lanes', 'The order of the weighted sum depends on where the window lies.', 'lib/cpu/attend.cpp',
       rotated('lists.hint_a[i] % 16'), CAUSAL)
mutant('order-stride', 'The order of the weighted sum depends on the gap between rows of v.', 'lib/cpu/attend.cpp',
       rotated('run.t.v.row_stride'), DETERMINISTIC)
mutant('scatter-order', 'Threads add their pairs in another order than one thread.', 'lib/cpu/backward_pairs.cpp',
       ('for (size_t tile = 0; tile < count; ++tile) {', 'for (size_t tile = count; tile-- > 0;) {'), DETERMINISTIC)
mutant('scatter-share', 'Two threads add to the channels between them.', 'lib/cpu/backward_pairs.cpp',
       ('from = lines * column / columns * kLine,', 'from = (lines * column / columns - (column > 0)) * kLine,'),
       DETERMINISTIC)
mutant('scatter-together', 'Items are added in whatever order they are ready.', 'lib/cpu/executor.cpp',
       ('make_filter<size_t, size_t>(filter_mode::serial_in_order,', 'make_filter<size_t, size_t>(filter_mode::parallel,'),
       'unit: executor*', DETERMINISTIC)
mutant('slot-shared', 'Two items under way share a slot.', 'lib/cpu/executor.cpp',
       ('start(item, item % slots, worker);', 'start(item, item / 2 % slots, worker);'), 'unit: executor*', DETERMINISTIC)
mutant('work-shared', 'Two threads share working memory forward.', 'lib/cpu/attend.cpp',
       ('AttendWork &mine = work[worker];', 'AttendWork &mine = work[0];'), DETERMINISTIC)
mutant('nested-worker', 'A nested loop of one piece takes the memory of worker 0.', 'lib/cpu/executor.cpp',
       ('running_in == this ? tbb::this_task_arena::current_thread_index() : 0', '0'), 'unit: executor*', DETERMINISTIC)
mutant('fork', 'A forked child waits for threads it does not have.', 'lib/cpu/executor.cpp',
       ('return getpid() != owner_;', 'return false;'), 'unit: context: one*', 'capi: fork')
mutant('sentence-thread', 'The sentence of an error on another thread is lost.', 'lib/cpu/handover.hpp',
       ('std::strncpy(sentence_, zeta_last_error(), sizeof sentence_ - 1);', ''), 'unit: executor*')
mutant('cancel', 'A request to stop is ignored.', 'lib/progress.cpp',
       ('call(fraction) != 0) cancelled_ = true;', 'call(fraction) > 99) cancelled_ = true;'),
       'property: cancelled*')

mutant('shard-idle', 'A shard without channels adds again.', 'lib/cpu/backward_pairs.cpp',
       ('if (group < groups && share.end > share.begin) {', 'if (share.end > share.begin) {'), DETERMINISTIC)

# ---- floating-point environment (section 1) ----------------------------------------------------------------------

mutant('environment-kept', 'The rounding and flushing of the caller stay in force.', 'lib/fp_environment.hpp',
       ('_mm_setcsr(0x1f80);', '_mm_setcsr(saved_);'), 'property: environment*')
mutant('environment-left', 'The state of the caller does not come back.', 'lib/fp_environment.hpp',
       ('_mm_setcsr(saved_);', '(void)saved_;'), 'property: environment*')
mutant('environment-flush', 'Tasks flush denormals.', 'lib/cpu/executor.cpp',
       ('const Running running(executor);', 'const Running running(executor);\n        __builtin_ia32_ldmxcsr(0x9fc0);'),
       'unit: executor*', DETERMINISTIC)

# ---- memory (promises 6 and 7) -----------------------------------------------------------------------------------

mutant('scratch-short', 'Scratch that is one byte too small is accepted.', 'lib/flight.hpp',
       ('if (block != nullptr && size < needed)', 'if (block != nullptr && size + 1 < needed)'), MEMORY)
mutant('scratch-over', 'More scratch is used than was asked for.', 'lib/cpu/attend.hpp',
       ('row = scratch.take<float>(size_t(p.dv));', 'row = scratch.take<float>(size_t(p.dv) / 2);'),
       'property: safe*', SMALL)
mutant('scratch-nk', 'Scratch grows with N K.', 'lib/cpu/attend.cpp',
       ('q_.take(scratch, t.q, unit.n);',
        'q_.take(scratch, t.q, unit.n);\n    scratch.take<float>(size_t(unit.n) * size_t(p.neighbours));'), MEMORY)
mutant('allocate', 'A forward call allocates.', 'lib/cpu/attend.cpp',
       ('void *out = row_pointer_out(t.out,',
        'void *volatile extra = ::operator new(dv);\n    ::operator delete(extra);\n'
        '    void *out = row_pointer_out(t.out,'), MEMORY)
mutant('allocate-backward', 'A backward call allocates.', 'lib/cpu/backward_pairs.cpp',
       ('double grad[ZETA_MAX_DK], gamma = 0;',
        'double grad[ZETA_MAX_DK] = {}, gamma = 0;\n    void *volatile extra = ::operator new(dv);\n'
        '    ::operator delete(extra);'), MEMORY)
mutant('allocate-threads', 'A forward call allocates where there are several threads.', 'lib/cpu/attend.cpp',
       ('AttendWork &mine = work[worker];',
        'AttendWork &mine = work[worker];\n        if (executor.workers() > 1) {\n'
        '            void *volatile extra = ::operator new(100);\n            ::operator delete(extra);\n        }'),
       MEMORY)
mutant('saved-gamma', 'What was saved with another gamma is accepted.', 'lib/saved.hpp',
       ('h.values = fingerprint(0xcbf29ce484222325u, p.gamma,', 'h.values = fingerprint(0xcbf29ce484222325u, nullptr,'),
       'unit: saved*')

# ---- statuses and checks at the door -----------------------------------------------------------------------------

mutant('write-early', 'Outputs are written before saved is checked.', 'lib/api/attention.cpp', [
    ('check_saved(checked.problem, args->saved, args->saved_size, given != nullptr, false);\n', '\n'),
    ('args->scratch, args->scratch_size);\n    });\n}\n\nzeta_status run_backward',
     'args->scratch, args->scratch_size);\n'
     '        check_saved(checked.problem, args->saved, args->saved_size, given != nullptr, false);\n'
     '    });\n}\n\nzeta_status run_backward')], 'property: refused*', MEMORY)
mutant('saved-other', 'What another call saved is accepted.', 'lib/api/attention.cpp',
       ('if (std::memcmp(saved, &expected, sizeof expected) != 0)', 'if (std::memcmp(saved, &expected, 8) != 0)'),
       'capi: arguments')
mutant('memory-status', 'Memory that is refused gives another status.', 'lib/context.cpp',
       ('if (data_ == nullptr) fail(ZETA_ERROR_MEMORY,', 'if (data_ == nullptr) fail(ZETA_ERROR_INTERNAL,'),
       'capi: allocator')
mutant('overlap-out', 'out may overlap inputs.', 'lib/api/check_forward.cpp',
       ('overlaps.output("out", args.out);', 'overlaps.input("out", args.out);'), 'property: refused*')
mutant('overlap-interleaved', 'Views that interleave are taken for overlapping.', 'lib/api/overlap.cpp',
       ('return sums.solve(branches);', 'return !sums.outside() || branches == 0;'), 'unit: views*', 'unit: overlap*')
mutant('stride-zero', 'An output may have a stride of 0.', 'lib/api/check_tensor.cpp',
       ('if (stride == 0 && rule.role == Role::output)', 'if (stride == 0 && rule.rank == 77)'), 'property: refused*')
mutant('struct-size', 'A newer struct_size is accepted.', 'lib/api/check_params.cpp',
       ('if (given != known)', 'if (given < known)'), 'capi: options')
mutant('gamma-range', 'A gamma of NaN is accepted.', 'lib/api/check_params.cpp',
       ('if (!(params.gamma[i] >= kMinGamma && params.gamma[i] <= kMaxGamma))',
        'if (params.gamma[i] < kMinGamma || params.gamma[i] > kMaxGamma)'), 'unit: gamma*')
mutant('most-keys', 'A sequence may have more than 2^24 keys.', 'lib/api/check_params.cpp',
       ('if (!packed && problem.keys > ZETA_MAX_KEYS)', 'if (!packed && problem.keys > 2 * ZETA_MAX_KEYS)'),
       'capi: arguments')
mutant('given-gap', 'A given neighbour may follow an empty slot.', 'lib/api/check_select.cpp',
       ('if (ended) refuse("no key', 'if (ended && low > high) refuse("no key'), 'property: given*')
mutant('given-limit', 'A given neighbour may be one past the last searchable key.', 'lib/api/check_select.cpp',
       ('if (entry < low || entry >= high) refuse', 'if (entry < low || entry > high) refuse'), 'property: given*')
mutant('busy', 'A context takes a second call.', 'lib/context.cpp',
       ('if (held == self) fail(', 'if (held == self) break;\n        else if (held < 0) fail('), 'unit: context: one*')
mutant('isa-absent', 'An instruction set that is absent is replaced by another.', 'lib/context.cpp',
       ('if (!simd::isa_present(isa))\n', 'if (!simd::isa_present(isa)) return simd::isa_best();\n    if (false)\n'),
       'capi: context')

# ---- recall (promise 5) ------------------------------------------------------------------------------------------

mutant('recall-nearer', 'A key as far as the K-th does not count.', 'lib/recall.cpp',
       ('near += !(work.lists.distances_of(s)[i] > kth) &&', 'near += work.lists.distances_of(s)[i] < kth &&'),
       'property: honest*')
mutant('recall-empty', 'A query that may search no key counts as 1.', 'lib/recall.cpp',
       ('n == 0 ? -1.0f :', 'n == 0 ? 1.0f :'), 'property: honest*')
