# SPDX-License-Identifier: Apache-2.0
# What mutate.py breaks in the cache (lib/cache, lib/api/*cache*), by part; see mutants.py. Left out is what no test on
# one kind of processor can see: the orders of atomic counts, and what makes a saved file durable.
from mutants import mutant

PROGRAMS = 'property: cache: random programs'
LONG = 'property: cache: random programs over long*'
INDEX = 'unit: index: random*'
MEANS = 'property: cache: means*'
REFUSED = 'property: cache: random*'

# ---- the index: windows ------------------------------------------------------------------------------------------

mutant('index-half', 'Half of an odd K is rounded up.', 'lib/cache/index_window.cpp', [
    ('below = from.back(window / 2);', 'below = from.back((window + 1) / 2);'),
    ('below < window / 2)', 'below < (window + 1) / 2)')], INDEX)
mutant('index-equal', 'Keys with the code of the query count as above it.', 'lib/cache/index_window.cpp',
       ('from.seek(code << 24 | 0xffffff);', 'from.seek(code << 24);'), INDEX)
mutant('index-refill', 'Where keys above run out, none are taken from below.', 'lib/cache/index_window.cpp',
       ('if (found == window || below < window / 2) return found;', 'if (below <= window / 2) return found;'), INDEX)
mutant('index-limit', 'A key at the limit counts on the way back.', 'lib/cache/index_window.cpp',
       ('left -= *layout_.leaf.position(leaf_, --key_) < limit_;',
        'left -= *layout_.leaf.position(leaf_, --key_) <= limit_;'),
       INDEX)
mutant('index-whole', 'A leaf whose newest key is at the limit is taken for searchable as a whole.',
       'lib/cache/index_window.cpp',
       ('range(1, at_[1])[kWide] < limit_;', 'range(1, at_[1])[kWide] <= limit_;'), 'unit: index: every*')

# ---- the index: the nearest --------------------------------------------------------------------------------------

mutant('index-tie', 'Boxes of equally near keys are judged as if the older came first.', 'lib/cache/index_nearest.cpp',
       ('| uint32_t(~position);', '| position;'), INDEX)
mutant('index-prune', 'A box that touches the bound is left out.', 'lib/cache/index_nearest.cpp',
       ('!(distances[i] <= bound_)', '!(distances[i] < bound_)'), INDEX)
mutant('index-newest', 'A box is judged by its oldest position.', 'lib/cache/index_nearest.cpp',
       ('std::min(range[kWide], limit_ - 1)', 'range[0]'), INDEX)
mutant('index-far', 'Keys infinitely far away are not found.', 'lib/cache/index_nearest.cpp',
       ('if (found < neighbours && found < count_)', 'if (found < neighbours && count_ == 0)'), INDEX)
mutant('index-far-newest', 'Of keys infinitely far away any are found, not the newest.', 'lib/cache/index_nearest.cpp',
       ('far_ ? 0 : distances_[i], ids_[i]));', 'far_ ? 0 : distances_[i], far_ ? 0xffffff : ids_[i]));'), INDEX)

# ---- the index: changes ------------------------------------------------------------------------------------------

mutant('index-box', 'The box of a node does not grow with a key that enters.', 'lib/cache/node.cpp',
       ('std::max(high[size_t(e) * kWide], key[e]);', 'high[size_t(e) * kWide];'), INDEX)
mutant('index-range', 'The newest position of a node does not grow with a key that enters.', 'lib/cache/node.cpp',
       ('range[kWide] = std::max(range[kWide], position);', ''), INDEX)
mutant('index-leaves', 'A key that leaves stays the oldest of its nodes.', 'lib/cache/node.cpp',
       ('bool touch = range[0] == position || range[kWide] == position;',
        'bool touch = range[kWide] == position;'), INDEX)
mutant('index-merge', 'Merging leaves the summary of the two behind.', 'lib/cache/index_change.cpp',
       ('remove_child(parent, at);\n        layout.summarise(parent, at - 1);', 'remove_child(parent, at);'), INDEX)
mutant('index-own', 'A node that another tree holds as well is written.', 'lib/cache/nodes.cpp',
       ('if (node->references.load(std::memory_order_acquire) == 1) return node;',
        'if (node->references.load(std::memory_order_acquire) <= 2) return node;'), INDEX, PROGRAMS)
mutant('index-reserve', 'For shared nodes too few copies are reserved.', 'lib/cache/index.cpp',
       ('fresh + std::min(2 * all, used)) : fresh;', 'fresh) : fresh;'), INDEX, 'unit: index: forks*')
mutant('index-removals', 'Removals reserve new nodes.', 'lib/cache/index.cpp',
       ('std::min(insertions * per_change,', 'std::min(changes * per_change,'), 'unit: index: removals*')
mutant('index-refused', 'What was reserved before memory was refused is kept.', 'lib/cache/nodes.cpp',
       ('        trim(context, before);\n', ''), 'unit: index: memory refused*')

# ---- which keys are in it ----------------------------------------------------------------------------------------

mutant('indexed-end', 'The newest searchable key is not in the index.', 'lib/cache/state.hpp',
       ('s.length - std::max<int64_t>(p.local, 1)', 's.length - std::max<int64_t>(p.local + 1, 1)'), PROGRAMS)
mutant('update-truncate', 'Keys that were rolled back stay in the index.', 'lib/cache/update.cpp',
       ('erase(std::max(c.from.begin, c.to.end), c.from.end);', ''), PROGRAMS)
mutant('update-evict', 'Keys that were evicted stay in the index.', 'lib/cache/update.cpp',
       ('erase(c.from.begin, std::min(c.from.end, c.to.begin));', ''), PROGRAMS)
mutant('update-grid', 'An index is built with the grid of key head 0.', 'lib/cache/update.cpp',
       ('cpu::axes_of(p_.grid, g, p_.dk), work.keys', 'cpu::axes_of(p_.grid, g * 0, p_.dk), work.keys'), PROGRAMS)

# ---- rows --------------------------------------------------------------------------------------------------------

mutant('rows-page', 'Rows before the first new one are lost with the copy of a shared page.', 'lib/cache/rows.cpp',
       ('if (old != nullptr && rows > 0) {', 'if (old != nullptr && rows > 1) {'), PROGRAMS)
mutant('rows-scale', 'The copy of a shared page lacks the scales.', 'lib/cache/rows.cpp',
       ('if (shape_->value_type == ZETA_I8) copy(shape_->scale_at,',
        'if (shape_->value_type == ZETA_F32) copy(shape_->scale_at,'),
       PROGRAMS)
mutant('rows-shared', 'What two caches share is written.', 'lib/cache/rows.hpp',
       ('{ return owners.load(std::memory_order_acquire) != 1; }',
        '{ return owners.load(std::memory_order_acquire) > 2; }'),
       PROGRAMS)
mutant('rows-sums', 'The copy of a shared span lacks the sums of the mean.', 'lib/cache/rows.cpp',
       ('    if (old != nullptr)\n        std::memcpy(', '    if (old == span)\n        std::memcpy('), LONG, MEANS,
       'property: threads: decode*')
mutant('rows-first', 'Eviction frees the page of the first row that stays.', 'lib/cache/rows.cpp',
       ('0, begin % kSpanRows / rows);', '0, (begin % kSpanRows + rows - 1) / rows);'), PROGRAMS)
mutant('rows-freed', 'Eviction frees spans alone.', 'lib/cache/rows.cpp',
       ('if (own(first)) drop_pages(', 'if (own(first) && begin > end) drop_pages('), 'property: cache memory: evicted*')
mutant('rows-grow', 'A longer table of spans has lost half of the old one.', 'lib/cache/rows.cpp',
       ('std::copy_n(spans_, room_, table);',
        'std::fill_n(table, room_, nullptr);\n    std::copy_n(spans_, room_ / 2, table);'), 'property: cache memory*')
mutant('rows-smallest', 'The scale of a row of denormals is 0.', 'lib/cache/store.cpp',
       ('if (scale * 127.5f < most)', 'if (scale * 127.5f < most && most > 1)'), 'property: cache values: int8 is*')
mutant('rows-infinite', 'int8 takes infinities of bfloat16 for numbers.', 'lib/cache/store.cpp',
       ('type == ZETA_BF16 ? 0x7f80 : 0x7c00', 'type == ZETA_BF16 ? 0x7fff : 0x7c00'),
       'property: cache values: int8 refuses*')

# ---- the mean ----------------------------------------------------------------------------------------------------

mutant('running-block', 'Values are folded in the blocks of keys.', 'lib/cache/mean.cpp',
       ('if (row % cpu::mean_block(dv) == 0)', 'if (row % cpu::mean_block(dk) == 0)'), MEANS)
mutant('running-noted', 'Noted sums are rounded to float32.', 'lib/cache/mean.cpp',
       ('std::copy_n(before, channels, noted_->checkpoint(row) + begin);',
        'for (size_t c = 0; c < channels; ++c) noted_->checkpoint(row)[begin + c] = float(before[c]);'), MEANS)
mutant('running-rewind', 'After a rollback the mean is that of before.', 'lib/cache/mean.cpp',
       ('if (position > anchor_.position) {', 'if (position < anchor_.position) {'), PROGRAMS)
mutant('running-anchor', 'What eviction leaves of the sums is that of whole blocks.', 'lib/cache/mean.cpp',
       ('    walk.seek(*this, position);\n    anchor_.position',
        '    walk.seek(*this, position);\n    std::fill_n(anchor_.running, channels_, 0.0);\n    anchor_.position'),
       PROGRAMS)

# ---- answers -----------------------------------------------------------------------------------------------------

mutant('decode-local', 'Local positions before what was evicted are attended.', 'lib/cache/decode.cpp',
       ('std::max(sequence_.first, t + 1 - p_.local)', 'std::max<int64_t>(0, t + 1 - p_.local)'), PROGRAMS)
mutant('decode-chunk', 'Chunks end one position late.', 'lib/cache/decode.cpp',
       ('t : t / p_.chunk * p_.chunk;', 't : (t + 1) / p_.chunk * p_.chunk;'), PROGRAMS)
mutant('decode-range', 'Whether sums left the range is asked of the last channels alone.', 'lib/cache/decode.cpp',
       ('in_range &= within;', 'in_range = within;'), 'property: cache: sums*')
mutant('decode-width', 'Few last channels of wide values are summed by themselves, in another order.',
       'lib/cache/decode.cpp', ('constexpr size_t kLeastWidth = 16;', 'constexpr size_t kLeastWidth = 1;'),
       'property: cache: random programs over wide*')
mutant('decode-piece', 'The mean of a piece is that of the first.', 'lib/cache/decode.cpp',
       ('uint32_t(origin + begin));', 'uint32_t(origin));'), 'property: threads: decode*', LONG)
mutant('decode-work', 'Two threads share working memory.', 'lib/cache/decode.cpp',
       ('work_[worker]).run(', 'work_[worker * 0]).run('), 'property: threads: decode*')
mutant('prefill-evicted', 'A prompt after an eviction gets the mean of the rows that are left.',
'lib/cache/prefill.cpp',
       ('(evicted(b) == 0 || !shape_->problem.mean)', '(evicted(b) == 0 || shape_->problem.dv > 0)'), PROGRAMS)
mutant('prefill-rounded', 'A prompt is answered with values as they were given, not as they are kept.',
       'lib/cache/prefill.cpp',
       ('(shape_->value_type == ZETA_F32 || shape_->value_type == call.tensors.v.dtype)',
        '(shape_->value_type == ZETA_F32 || shape_->value_type != ZETA_I8)'), PROGRAMS)
mutant('prefill-first', 'A prompt searches what was evicted.', 'lib/cache/prefill.cpp',
       ('p.first = first(b);', 'p.first = shape_->problem.first;'), PROGRAMS)
mutant('prefill-failed', 'A prompt is added although its outputs were not computed.', 'lib/cache/prefill.cpp',
       ('        if (!prefill_together(call)) prefill_apart(call);\n'
        '        for (int64_t b = 0; b < batches(); ++b) counts[b] = engine_takes(call, b) ? 0 : call.count(b);\n'
        '    }\n    add_rows(call, update);\n    rollback.cancel();\n',
        '        for (int64_t b = 0; b < batches(); ++b) counts[b] = engine_takes(call, b) ? 0 : call.count(b);\n'
        '        rollback.cancel();\n        if (!prefill_together(call)) prefill_apart(call);\n'
        '    }\n    add_rows(call, update);\n    rollback.cancel();\n'), 'cache: what a failed*')
mutant('cache-rollback', 'What a failed call had stored stays in the mean.', 'lib/cache/rollback.hpp',
       ('if (cache_ != nullptr) cache_->restore();', ''), 'cache: what a failed*')
mutant('cache-late', 'Values that int8 cannot hold are refused after the rows were added.', 'lib/cache/cache.cpp', [
    ('void Cache::append(const Call &call) {\n    check_finite(call);\n', 'void Cache::append(const Call &call) {\n'),
    ('    add_rows(call, update);\n    rollback.cancel();\n}',
     '    add_rows(call, update);\n    check_finite(call);\n    rollback.cancel();\n}')],
       'property: cache values: int8 refuses*')
mutant('cache-reset', 'After a reset all keys are searchable.', 'lib/cache/cache.cpp',
       ('= {0, shape_->problem.first, 0};\n}', '= {0, 0, 0};\n}'), PROGRAMS)

# ---- files -------------------------------------------------------------------------------------------------------

mutant('file-chain', 'A checksum leaves out the one before it.', 'lib/cache/file_stream.cpp', [
    ('    checksum_.restart();\n    put(&value, sizeof value);',
     '    put(&value, sizeof value);\n    checksum_.restart();'),
    ('    checksum_.restart();\n    uint64_t stored = 0;\n    get(&stored, sizeof stored);',
     '    uint64_t stored = 0;\n    get(&stored, sizeof stored);\n    checksum_.restart();')], 'cache: parts may*')
mutant('file-checksum', 'The checksum of rows is not looked at.', 'lib/cache/file.cpp',
       ('if (!reader.end_part()) corrupt(', 'if (!reader.end_part() && !scales) corrupt('), 'cache: a change*')
mutant('file-scales', 'A scale may be infinite.', 'lib/cache/file.cpp',
       ('scale[i] >= 0.0f && std::isfinite(scale[i])', 'scale[i] >= 0.0f'), 'cache: contents*')
mutant('file-sums', 'Sums of evicted rows are believed where none is evicted.', 'lib/cache/file.cpp',
       ('return std::all_of(numbers, numbers + n, [](double x) { return x == 0.0 && !std::signbit(x); });', 'return n > 0;'),
       'cache: sums*')
mutant('file-magic', 'A file is known by its first four bytes.', 'lib/cache/file_head.cpp',
       ('if (std::memcmp(head.magic, kMagic, sizeof kMagic) != 0)', 'if (std::memcmp(head.magic, kMagic, 4) != 0)'),
       'cache: files of*')
mutant('file-version', 'A file of the next version is read.', 'lib/cache/file_head.cpp',
       ('if (head.version > kFileVersion)', 'if (head.version > kFileVersion + 1)'), 'cache: a newer*')
mutant('file-longer', 'A file may go on after its end.', 'lib/cache/file_head.cpp',
       ('if (source.size() != expected)', 'if (source.size() < expected)'), 'cache: every shorter*')
mutant('file-first', '`first` of a sequence may be anything.', 'lib/cache/file_head.cpp',
       ('s.first != (s.evicted > head.first ? s.evicted : head.first))', 's.first > ZETA_MAX_KEYS)'), 'cache: a head*')
mutant('file-options', 'A file of another gamma or grid is loaded.', 'lib/cache/file_head.cpp',
       ('if (difference.found) refuse_array', 'if (difference.found && difference.entry > 99) refuse_array'),
       'cache: other shapes*')
mutant('file-bytes', 'Bytes of the file that lie are believed.', 'lib/cache/file_head.cpp',
       ('if (file.file_bytes != expected)', 'if (file.file_bytes < expected)'), 'cache: a head*')
mutant('file-temporary', 'A save that fails leaves its temporary file.', 'lib/cache/file_disk.cpp',
       ('    unlink(temporary_.c_str());\n', ''), 'cache: a disk*')
mutant('file-mode', 'The new file has other permissions than the old.', 'lib/cache/file_disk.cpp',
       ('mode_ = old.st_mode & 0777;', ''), 'cache: permissions*')
mutant('file-link', 'A symbolic link is replaced by the file.', 'lib/cache/file_disk.cpp',
       ('path_(target_of(path)) {', 'path_(path) {'), 'cache: permissions*')
mutant('file-link-new', 'A symbolic link to a file that is not there yet is replaced by the file.',
       'lib/cache/file_disk.cpp',
       ('if (length == -1 || length == ssize_t(sizeof to)) return at;', 'if (length >= -1) return at;'),
       'cache: symbolic*')
mutant('file-short', 'What the disk did not take is not written again.', 'lib/cache/file_disk.cpp',
       ('        from += n;\n        filled_ -= size_t(n);',
        '        from += n;\n        filled_ = 0;'), 'cache: a disk*')

# ---- checks at the door ------------------------------------------------------------------------------------------

mutant('door-growth', 'A sequence may have 2^24 + 1 positions.', 'lib/api/check_cache.cpp',
       ('if (call.count(b) > ZETA_MAX_KEYS - cache.length(b))',
        'if (call.count(b) > ZETA_MAX_KEYS + 1 - cache.length(b))'),
       'capi: cache-arguments')
mutant('door-standing', 'A query may stand at the newest position that was evicted.', 'lib/api/check_cache.cpp',
       ('length - count < evicted)', 'length - count + 1 < evicted)'), 'capi: cache-arguments', REFUSED)
mutant('door-queries', 'There may be one query more than positions.', 'lib/api/check_cache.cpp',
       ('if (count > length)', 'if (count > length + 1)'), 'capi: cache-arguments', REFUSED)
mutant('door-counts', 'A count may be one more than the rows.', 'lib/api/check_cache.cpp',
       ('call.counts[b] > call.n)', 'call.counts[b] > call.n + 1)'), 'capi: cache-arguments', REFUSED)
mutant('door-overlap', 'out may overlap v.', 'lib/api/check_cache.cpp',
       ('overlaps.output("out", args.out);', 'overlaps.input("out", args.out);'), 'capi: cache-arguments', REFUSED)
mutant('door-truncate', 'A sequence may be rolled back to before what was evicted.', 'lib/api/check_cache.cpp',
       ('if (lengths[b] < cache.evicted(b))', 'if (lengths[b] < 0)'), 'capi: cache-arguments', REFUSED)
mutant('door-fork', 'A fork may ask for the sequence after the last.', 'lib/api/check_cache.cpp',
       ('sequences[i] >= batches)', 'sequences[i] > batches)'), 'capi: cache-arguments')
mutant('door-gamma', 'gamma is read where the caller had it, not copied.', 'lib/api/check_cache_params.cpp',
       ('problem.gamma = keep(shape.gamma, problem.gamma, problem.gamma_count);', ''), PROGRAMS)
mutant('door-busy', 'A cache takes a second call while it serves one.', 'lib/api/cache.cpp',
       ('const auto guard = c.context().enter("cache");', 'const FpEnvironment environment;'), 'capi: cache-use')
mutant('door-size', 'A buffer that is one byte too small is written to.', 'lib/api/cache.cpp',
       ('if (*size < needed)', 'if (*size + 1 < needed)'), 'capi: cache-arguments')
