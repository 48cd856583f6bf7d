// SPDX-License-Identifier: Apache-2.0
// Prefix sums with their means, and suffix sums, against the same operations one by one, to the bit.
#include <doctest/doctest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "rows.hpp"

using namespace kernel_tests;
using zeta::simd::isa_name;

namespace {

// n rows, hurtful values (or any 16 bits) among them if asked, NaN in the gaps. No rows and stride 0 are possible.
class Source {
public:
    Source(Random &random, RowType type, size_t n, size_t channels, size_t stride, bool hurt, Place place)
        : stride_(stride), values_(n == 0 || channels == 0 ? 0 : (n - 1) * stride + channels, std::nanf("")),
          wide_(type == RowType::f32 ? values_.size() : 0, place),
          narrow_(type == RowType::f32 ? 0 : values_.size(), place), type_(type) {
        if (values_.empty()) return;
        for (size_t r = 0; r < n; ++r) {
            const std::vector<float> row = floats(random, channels, hurt ? 20 : 0);
            std::copy(row.begin(), row.end(), values_.begin() + static_cast<ptrdiff_t>(r * stride));
        }
        if (type == RowType::f32) {
            std::copy(values_.begin(), values_.end(), wide_.data());
            return;
        }
        const Kernels &scalar = zeta::simd::kernels(Isa::scalar); // conversions have a test of their own
        const bool bf16 = type == RowType::bf16;
        (bf16 ? scalar.convert_to_bf16 : scalar.convert_to_f16)(values_.data(), values_.size(), narrow_);
        for (size_t at = 0; hurt && at < values_.size(); at += static_cast<size_t>(pick(random, 1, 40)))
            narrow_[at] = static_cast<uint16_t>(pick(random, 0, 0xFFFF));
        (bf16 ? scalar.convert_from_bf16 : scalar.convert_from_f16)(narrow_, values_.size(), values_.data());
    }
    const void *at(size_t row, size_t column) const {
        const size_t offset = row * stride_ + column;
        if (type_ == RowType::f32) return wide_.data() + offset;
        return narrow_.data() + offset;
    }
    double value(size_t row, size_t column) const { return double(values_[row * stride_ + column]); }
    size_t stride() const { return stride_; }
    RowType type() const { return type_; }

private:
    size_t stride_;
    std::vector<float> values_;
    Array<float> wide_;
    Array<uint16_t> narrow_;
    RowType type_;
};

auto prefix_of(const Kernels &kernels, RowType type) {
    return type == RowType::f32    ? kernels.mean_prefix_f32
           : type == RowType::bf16 ? kernels.mean_prefix_bf16
                                   : kernels.mean_prefix_f16;
}

auto suffix_of(const Kernels &kernels, RowType type) {
    return type == RowType::f32    ? kernels.mean_suffix_f32
           : type == RowType::bf16 ? kernels.mean_suffix_bf16
                                   : kernels.mean_suffix_f16;
}

// Equal bits, or both NaN.
bool same_doubles(const std::vector<double> &a, const std::vector<double> &b) {
    for (size_t i = 0; i < a.size(); ++i) {
        if (std::isnan(a[i]) ? !std::isnan(b[i]) : std::memcmp(&a[i], &b[i], sizeof a[i]) != 0) return false;
    }
    return a.size() == b.size();
}

size_t extent_of(size_t n, size_t channels, size_t stride) {
    return n == 0 || channels == 0 ? 0 : (n - 1) * stride + channels;
}

// A sum whose mean lies at the border between two float32, or a few float64 beside it.
double border_sum(Random &random, double count) {
    const float x = normal(random);
    double sum = (double(x) + double(std::nextafter(x, HUGE_VALF))) / 2 * count;
    for (int64_t step = pick(random, 0, 4); step > 0; --step)
        sum = std::nextafter(sum, pick(random, 0, 1) ? 1e300 : -1e300);
    return sum;
}

std::vector<double> some_sums(Random &random, size_t n, double count, bool hurt) {
    std::vector<double> sums(n);
    for (double &sum : sums) {
        const int64_t kind = pick(random, hurt ? 0 : 3, 9);
        sum = double(normal(random)) * count;
        if (kind == 0) sum = double(floats(random, 1, 1)[0]);
        if (kind == 1) sum = double(normal(random)) * double(FLT_MAX) * count;
        if (kind == 2) sum = double(normal(random)) * double(FLT_TRUE_MIN) * 100 * count;
        if (kind == 3 || kind == 4) sum = border_sum(random, count);
        if (kind == 5) sum = pick(random, 0, 1) ? 0.0 : -0.0;
    }
    return sums;
}

double some_count(Random &random) {
    const double counts[] = {1, 2, 3, 7, 10, 1000, 65537, 16777215};
    return counts[pick(random, 0, 7)];
}

// Rows apart, touching, or (for inputs) all the same one.
size_t some_stride(Random &random, size_t channels, bool input) {
    if (input && pick(random, 0, 9) == 0) return 0;
    return channels + static_cast<size_t>(std::max<int64_t>(pick(random, -3, 5), 0));
}

void check_prefix(const Kernels &kernels, Random &random, RowType type, size_t n, size_t channels, Place place) {
    const double first = some_count(random);
    const Source v(random, type, n, channels, some_stride(random, channels, true), pick(random, 0, 1) == 0, place);
    const size_t mean_stride = some_stride(random, channels, false);
    const std::vector<double> earlier = some_sums(random, channels, first, true);
    const std::vector<double> sums = some_sums(random, channels, first, true);
    std::vector<double> expected_running = sums;
    std::vector<float> expected_means = floats(random, extent_of(n, channels, mean_stride));
    const Array<float> means(expected_means, place);
    for (size_t r = 0; r < n; ++r) {
        const double inverse = 1.0 / (first + double(r));
        for (size_t c = 0; c < channels; ++c) {
            expected_running[c] += v.value(r, c);
            const double sum = earlier[c] + expected_running[c];
            expected_means[r * mean_stride + c] = static_cast<float>(sum * inverse);
        }
    }
    const Array<double> before(earlier, place), running(sums, place), alone(sums, place);
    const auto prefix = prefix_of(kernels, type);
    prefix({v.at(0, 0), v.stride(), n, channels, before, running, first, means, mean_stride});
    CHECK(same_floats(means.values(), expected_means)); // the gaps as they were
    CHECK(same_doubles(running.values(), expected_running));
    CHECK(same_bits(before.values(), earlier));
    CHECK(means.intact());
    CHECK(running.intact());

    prefix(
        {v.at(0, 0), v.stride(), n, channels, alone, alone, first, nullptr, 0}); // no means: `before` is not looked at
    CHECK(same_doubles(alone.values(), expected_running));
    CHECK(alone.intact());
}

// Means with the rows themselves mixed in: the same sums, float32 mixtures within rounding, as one row alone is mixed,
// streamed or not, and the marks of rows that are not finite.
void check_mixed(const Kernels &kernels, Random &random, RowType type, size_t n, size_t channels, Place place) {
    const bool hurt = pick(random, 0, 1) == 0;
    const Source v(random, type, n, channels, some_stride(random, channels, true), hurt, place);
    const bool lines = pick(random, 0, 1) == 0; // whole cache lines, which may be streamed
    const size_t mean_stride = lines ? (channels + 15) / 16 * 16 : some_stride(random, channels, false);
    const std::vector<double> earlier = some_sums(random, channels, 1, hurt),
                              sums = some_sums(random, channels, 1, hurt);
    std::vector<float> share_rows(2 * n);
    for (size_t r = 0; r < n; ++r) {
        share_rows[2 * r] = float(pick(random, 0, 8)) / 8;
        share_rows[2 * r + 1] = 1 - share_rows[2 * r];
    }
    const Array<double> before(earlier, place), running(sums, place), plain_running(sums, place);
    const Array<float> shares(share_rows, place);
    const std::vector<float> filled = floats(random, extent_of(n, channels, mean_stride));
    const Array<float> means(filled, place), mixed(filled, place);
    const Array<uint8_t> apart(n, place);
    std::fill_n(apart.data(), n, uint8_t{0});
    const auto prefix = prefix_of(kernels, type);
    prefix({v.at(0, 0), v.stride(), n, channels, before, plain_running, 1, means, mean_stride});
    prefix({v.at(0, 0), v.stride(), n, channels, before, running, 1, mixed, mean_stride, shares, apart, lines});
    CHECK(same_doubles(running.values(), plain_running.values()));
    for (size_t r = 0; r < n; ++r) {
        std::vector<float> own(channels), alone(channels);
        for (size_t c = 0; c < channels; ++c) own[c] = float(v.value(r, c));
        const float *mean = means.data() + r * mean_stride, *row = mixed.data() + r * mean_stride;
        const float s = share_rows[2 * r], t = share_rows[2 * r + 1];
        const bool finite = kernels.mean_mix(own.data(), mean, channels, s, t, alone.data());
        CHECK(finite == (apart.data()[r] == 0));
        bool all = true;
        for (size_t c = 0; c < channels; ++c) {
            CHECK((std::isnan(row[c]) ? std::isnan(alone[c]) : row[c] == alone[c]));
            all = all && std::isfinite(row[c]);
            if (!std::isfinite(row[c])) continue;
            const double exact = double(s) * double(own[c]) + double(t) * double(mean[c]);
            CHECK(std::fabs(double(row[c]) - exact) <=
                  2e-7 * std::max(std::fabs(double(own[c])), std::fabs(double(mean[c]))) + double(FLT_TRUE_MIN));
        }
        CHECK(finite == all);
    }
    for (size_t i = 0; i < filled.size(); ++i) // the gaps as they were
        if (i % mean_stride >= channels) CHECK(mixed.values()[i] == filled[i]);
    CHECK(mixed.intact());
    CHECK(running.intact());
    CHECK(apart.intact());
    if (!lines) return;
    const Array<double> again(sums, place);
    const Array<float> streamed(filled, place);
    prefix({v.at(0, 0), v.stride(), n, channels, before, again, 1, streamed, mean_stride, nullptr, nullptr, true});
    CHECK(same_floats(streamed.values(), means.values()));
    CHECK(streamed.intact());
}

void check_suffix(const Kernels &kernels, Random &random, RowType type, size_t n, size_t channels, Place place) {
    const Source g(random, type, n, channels, some_stride(random, channels, true), pick(random, 0, 1) == 0, place);
    const size_t row_stride = some_stride(random, channels, false);
    const std::vector<double> later = some_sums(random, channels, 1, true);
    const std::vector<double> sums = some_sums(random, channels, 1, true), weights = some_sums(random, n, 1, false);
    std::vector<double> expected_running = sums;
    std::vector<float> expected_rows = floats(random, extent_of(n, channels, row_stride), 20);
    const Array<float> rows(expected_rows, place);
    for (size_t r = n; r-- > 0;) {
        for (size_t c = 0; c < channels; ++c) {
            const double term = weights[r] * g.value(r, c);
            expected_running[c] += term;
            expected_rows[r * row_stride + c] += static_cast<float>(later[c] + expected_running[c]);
        }
    }
    const Array<double> shares(weights, place), after(later, place), running(sums, place), alone(sums, place);
    const auto suffix = suffix_of(kernels, type);
    suffix(g.at(0, 0), g.stride(), n, channels, shares, after, running, rows, row_stride);
    CHECK(same_floats(rows.values(), expected_rows));
    CHECK(same_doubles(running.values(), expected_running));
    CHECK(same_bits(after.values(), later));
    CHECK(rows.intact());
    CHECK(running.intact());

    suffix(g.at(0, 0), g.stride(), n, channels, shares, nullptr, alone, nullptr, 0);
    CHECK(same_doubles(alone.values(), expected_running));
    CHECK(alone.intact());
}

template <class Check> void for_all_shapes(Check check) {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const RowType type : kRowTypes) {
            CAPTURE(static_cast<int>(type));
            for (const size_t size : sizes()) {
                CAPTURE(size);
                for (const Place place : kPlaces) {
                    check(kernels, random, type, static_cast<size_t>(pick(random, 0, 9)), size, place);
                    check(kernels, random, type, size, static_cast<size_t>(pick(random, 1, 9)), place);
                }
            }
            for (const size_t channels : {31, 64, 77}) check(kernels, random, type, 300, channels, Place::end);
        }
    }
}

// 0, some numbers between, n.
std::vector<size_t> some_cuts(Random &random, size_t n) {
    std::vector<size_t> cuts = {0, n};
    for (int64_t more = pick(random, 0, 4); more > 0; --more)
        cuts.push_back(static_cast<size_t>(pick(random, 0, static_cast<int64_t>(n))));
    std::sort(cuts.begin(), cuts.end());
    return cuts;
}

void check_prefix_parts(const Kernels &kernels, Random &random, RowType type, size_t n, size_t channels) {
    const double first = some_count(random);
    const Source v(random, type, n, channels, some_stride(random, channels, true), false, Place::end);
    const std::vector<double> before = some_sums(random, channels, first, false);
    const std::vector<double> sums = some_sums(random, channels, first, false);
    std::vector<double> whole = sums, parts = sums, added = sums;
    std::vector<float> whole_means(n * channels), part_means(n * channels);
    const auto prefix = prefix_of(kernels, type);
    prefix({v.at(0, 0), v.stride(), n, channels, before.data(), whole.data(), first, whole_means.data(), channels});
    const std::vector<size_t> columns = some_cuts(random, channels);
    for (size_t j = 0; j + 1 < columns.size(); ++j) {
        const size_t c = columns[j], width = columns[j + 1] - c;
        const std::vector<size_t> rows = some_cuts(random, n);
        for (size_t i = 0; i + 1 < rows.size(); ++i) {
            const size_t r = rows[i], height = rows[i + 1] - r;
            prefix({v.at(r, c), v.stride(), height, width, before.data() + c, parts.data() + c, first + double(r),
                    part_means.data() + r * channels + c, channels});
            prefix({v.at(r, c), v.stride(), height, width, before.data() + c, added.data() + c, first, nullptr, 0});
        }
    }
    CHECK(same_bits(parts, whole));
    CHECK(same_bits(added, whole));
    CHECK(same_bits(part_means, whole_means));
}

void check_suffix_parts(const Kernels &kernels, Random &random, RowType type, size_t n, size_t channels) {
    const Source g(random, type, n, channels, some_stride(random, channels, true), false, Place::end);
    const std::vector<double> after = some_sums(random, channels, 1, false), shares = some_sums(random, n, 1, false);
    const std::vector<double> sums = some_sums(random, channels, 1, false);
    std::vector<double> whole = sums, parts = sums, added = sums;
    std::vector<float> whole_rows = floats(random, n * channels), part_rows = whole_rows;
    const auto suffix = suffix_of(kernels, type);
    suffix(g.at(0, 0), g.stride(), n, channels, shares.data(), after.data(), whole.data(), whole_rows.data(), channels);
    const std::vector<size_t> columns = some_cuts(random, channels);
    for (size_t j = 0; j + 1 < columns.size(); ++j) {
        const size_t c = columns[j], width = columns[j + 1] - c;
        const std::vector<size_t> rows = some_cuts(random, n);
        for (size_t i = rows.size() - 1; i > 0; --i) { // from the last part back
            const size_t r = rows[i - 1], height = rows[i] - r;
            suffix(g.at(r, c), g.stride(), height, width, shares.data() + r, after.data() + c, parts.data() + c,
                   part_rows.data() + r * channels + c, channels);
            suffix(g.at(r, c), g.stride(), height, width, shares.data() + r, nullptr, added.data() + c, nullptr, 0);
        }
    }
    CHECK(same_bits(parts, whole));
    CHECK(same_bits(added, whole));
    CHECK(same_bits(part_rows, whole_rows));
}

} // namespace

TEST_CASE("prefix sums and their means") {
    for_all_shapes(check_prefix);
}

TEST_CASE("means with the rows themselves mixed in") {
    for_all_shapes(check_mixed);
}

TEST_CASE("suffix sums and the rows they are added to") {
    for_all_shapes(check_suffix);
}

TEST_CASE("sums of parts of the rows and columns are those of one call") {
    for_all_shapes([](const Kernels &kernels, Random &random, RowType type, size_t n, size_t channels, Place) {
        check_prefix_parts(kernels, random, type, n, channels);
        check_suffix_parts(kernels, random, type, n, channels);
    });
}

TEST_CASE("one NaN or infinity touches the rows from its own on, in its column") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        for (const size_t channels : {1, 3, 8, 21, 70}) {
            for (size_t at = 0; at < channels; ++at) {
                const size_t n = 5, hit = at % n;
                std::vector<float> v(n * channels, 1.0f), means(n * channels), rows(n * channels, 0.0f);
                v[hit * channels + at] = at % 2 == 0 ? std::nanf("") : HUGE_VALF;
                const std::vector<double> nothing(channels, 0.0), shares(n, 1.0);
                std::vector<double> forward = nothing, back = nothing;
                kernels.mean_prefix_f32(
                    {v.data(), channels, n, channels, nothing.data(), forward.data(), 1, means.data(), channels});
                kernels.mean_suffix_f32(v.data(), channels, n, channels, shares.data(), nothing.data(), back.data(),
                                        rows.data(), channels);
                for (size_t r = 0; r < n; ++r) {
                    for (size_t c = 0; c < channels; ++c) {
                        const size_t cell = r * channels + c;
                        if (c == at && r >= hit)
                            CHECK(!std::isfinite(means[cell]));
                        else
                            CHECK(means[cell] == static_cast<float>(double(r + 1) * (1.0 / double(r + 1))));
                        if (c == at && r <= hit)
                            CHECK(!std::isfinite(rows[cell]));
                        else
                            CHECK(rows[cell] == static_cast<float>(n - r));
                    }
                }
            }
        }
    }
}
