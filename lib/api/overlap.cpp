// SPDX-License-Identifier: Apache-2.0
// Two views share a byte when  baseA + sum sA_i a_i + x = baseB + sum sB_j b_j + y  has a solution within the extents
// and runs. With b_j counted from its end this reads: is some sum of positive steps, each taken a bounded number of
// times, inside an interval? Common strides merge, steps not above the interval's width vanish into it, common divisors
// shrink it; two remaining steps are solved by Euclid's algorithm in logarithmic time, more by branching. Views that
// interleave with common strides need no branching to speak of. No allocation.
#include "overlap.hpp"

#include <algorithm>
#include <cassert>

#include "../status.hpp"

namespace zeta::api {
namespace {

__extension__ typedef __int128 Wide; // sums of two address ranges do not fit 64 bits

constexpr int kMaxTerms = 2 * (ZETA_MAX_RANK - 1);
constexpr int kMaxBranches = 1 << 14; // about 10 ms

Wide floor_divide(Wide a, Wide b) { // b > 0
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

Wide ceil_divide(Wide a, Wide b) {
    return -floor_divide(-a, b);
}

Wide gcd(Wide a, Wide b) {
    while (b != 0) {
        const Wide r = a % b;
        a = b;
        b = r;
    }
    return a;
}

// Smallest x >= 0 with low <= a x mod m <= high, or -1. 0 <= a < m, 0 <= low <= high < m.
Wide first_in_residues(Wide a, Wide m, Wide low, Wide high) {
    if (low == 0) return 0;
    if (a == 0) return -1;
    if (2 * a > m) { // mirror: keeps the recursion logarithmic
        a = m - a;
        const Wide mirrored = m - high;
        high = m - low;
        low = mirrored;
    }
    const Wide x = ceil_divide(low, a);
    if (a * x <= high) return x;
    // No multiple of a lies in [low, high]: a x = m y + (low..high) asks the same of y, modulo a.
    const Wide y = first_in_residues((a - m % a) % a, a, low % a, high % a);
    return y < 0 ? -1 : ceil_divide(low + m * y, a);
}

// Is low <= sum step[i] z[i] <= high for some 0 <= z[i] <= limit[i]?
struct Sums {
    int count = 0;
    Wide step[kMaxTerms], limit[kMaxTerms];
    Wide low = 0, high = 0;

    void add(Wide added_step, Wide added_limit) {
        if (added_step == 0 || added_limit == 0) return;
        assert(count < kMaxTerms);
        step[count] = added_step;
        limit[count++] = added_limit;
    }
    void remove(int i) {
        --count;
        step[i] = step[count];
        limit[i] = limit[count];
    }
    Wide total() const {
        Wide sum = 0;
        for (int i = 0; i < count; ++i) sum += step[i] * limit[i];
        return sum;
    }
    bool outside() const { return high < 0 || low > high || low > total(); }

    bool solve(int &branches);

private:
    bool absorb();
    bool merge();
    void divide();
    bool solve_two() const;
    bool branch(int &branches) const;
};

// A step not above the interval's width leaves no gap: the interval grows by all of it.
bool Sums::absorb() {
    for (int i = 0; i < count; ++i)
        if (step[i] <= high - low + 1) {
            low -= step[i] * limit[i];
            remove(i);
            return true;
        }
    return false;
}

// A multiple of another step that this one reaches without a gap extends it.
bool Sums::merge() {
    for (int i = 0; i < count; ++i)
        for (int j = 0; j < count; ++j) {
            if (i == j || step[j] % step[i] != 0 || step[j] / step[i] > limit[i] + 1) continue;
            limit[i] += step[j] / step[i] * limit[j];
            remove(j);
            return true;
        }
    return false;
}

void Sums::divide() {
    Wide divisor = 0;
    for (int i = 0; i < count; ++i) divisor = gcd(divisor, step[i]);
    if (divisor <= 1) return;
    for (int i = 0; i < count; ++i) step[i] /= divisor;
    low = ceil_divide(low, divisor);
    high = floor_divide(high, divisor);
}

// low <= c x + m y <= high. An interval that holds y = 0 or y = limit is decided by x alone; every other one lies
// strictly between, where y's limits do not matter and only residues modulo m do.
bool Sums::solve_two() const {
    const Wide c = step[0], m = step[1];
    const Wide first = std::max<Wide>(0, ceil_divide(low - m * limit[1], c));
    const Wide last = std::min(limit[0], floor_divide(high, c));
    if (first > last) return false;
    for (const Wide y : {Wide{0}, limit[1]}) {
        const Wide x = std::max<Wide>(0, ceil_divide(low - m * y, c));
        if (x <= limit[0] && c * x <= high - m * y) return true;
    }
    const Wide offset = (high - c * first) % m; // >= 0 as c first <= high; asks (offset - c x) mod m <= high - low
    const Wide width = high - low;              // < m, else absorbed
    if (offset <= width) return true;
    const Wide x = first_in_residues(c % m, m, offset - width, offset);
    return x >= 0 && x <= last - first;
}

// Tries every value of the term with the fewest feasible ones.
bool Sums::branch(int &branches) const {
    const Wide sum = total();
    int chosen = 0;
    Wide chosen_first = 0, chosen_last = 0;
    for (int i = 0; i < count; ++i) {
        const Wide first = std::max<Wide>(0, ceil_divide(low - (sum - step[i] * limit[i]), step[i]));
        const Wide last = std::min(limit[i], floor_divide(high, step[i]));
        if (i == 0 || last - first < chosen_last - chosen_first) {
            chosen = i;
            chosen_first = first;
            chosen_last = last;
        }
    }
    for (Wide z = chosen_first; z <= chosen_last; ++z) {
        if (--branches < 0) return true;
        Sums rest = *this;
        rest.low -= step[chosen] * z;
        rest.high -= step[chosen] * z;
        rest.remove(chosen);
        if (rest.solve(branches)) return true;
    }
    return false;
}

bool Sums::solve(int &branches) {
    for (;;) {
        if (outside()) return false;
        if (low <= 0) return true; // all z 0; high >= 0
        if (absorb() || merge()) continue;
        const Wide before = count == 0 ? 1 : step[0];
        divide();
        if (count == 0 || step[0] == before) break;
    }
    if (count == 0) return false;
    if (count == 1) return step[0] * std::min(limit[0], floor_divide(high, step[0])) >= low;
    if (count == 2) return solve_two();
    return branch(branches);
}

} // namespace

Footprint footprint(const char *name, const zeta_tensor &tensor, bool written) {
    Footprint result;
    result.name = name;
    result.written = written;
    result.base = reinterpret_cast<uintptr_t>(tensor.data);
    for (int axis = 0; axis < tensor.rank; ++axis)
        if (tensor.shape[axis] == 0) return result; // strides were not checked, and do not matter
    const int64_t size = static_cast<int64_t>(zeta_dtype_size(tensor.dtype));
    result.run = size;
    for (int axis = 0; axis < tensor.rank; ++axis) {
        const int64_t extent = tensor.shape[axis];
        if (extent == 1) continue;
        if (axis == tensor.rank - 1) {
            result.run *= extent;
        } else {
            result.extent[result.axes] = extent;
            result.stride[result.axes++] = tensor.stride[axis] * size;
        }
    }
    return result;
}

Footprint footprint(const char *name, const void *data, size_t bytes, bool written) {
    Footprint result;
    result.name = name;
    result.written = written;
    result.base = reinterpret_cast<uintptr_t>(data);
    result.run = static_cast<int64_t>(bytes);
    return result;
}

bool overlap(const Footprint &a, const Footprint &b) {
    if (a.run == 0 || b.run == 0) return false;
    // sum sA a + sum sB (last - b) = baseB - baseA + sum sB last + y - x, with 0 <= x < runA and 0 <= y < runB
    Sums sums;
    Wide offset = static_cast<Wide>(b.base) - static_cast<Wide>(a.base);
    for (int i = 0; i < a.axes; ++i) sums.add(a.stride[i], a.extent[i] - 1);
    for (int i = 0; i < b.axes; ++i) {
        sums.add(b.stride[i], b.extent[i] - 1);
        offset += static_cast<Wide>(b.stride[i]) * (b.extent[i] - 1);
    }
    sums.low = offset - (a.run - 1);
    sums.high = offset + (b.run - 1);
    int branches = kMaxBranches;
    return sums.solve(branches);
}

bool overlaps_itself(const Footprint &a) {
    if (a.run == 0) return false;
    int branches = kMaxBranches;
    // Two indices that first differ at axis i, there by d >= 1: d s_i + sum over later axes of s_j d_j in (-run, run).
    for (int i = 0; i < a.axes; ++i) {
        Sums sums;
        Wide offset = -static_cast<Wide>(a.stride[i]);
        sums.add(a.stride[i], a.extent[i] - 2);
        for (int j = i + 1; j < a.axes; ++j) {
            sums.add(a.stride[j], 2 * (static_cast<Wide>(a.extent[j]) - 1));
            offset += static_cast<Wide>(a.stride[j]) * (a.extent[j] - 1);
        }
        sums.low = offset - (a.run - 1);
        sums.high = offset + (a.run - 1);
        if (sums.solve(branches)) return true;
    }
    return false;
}

void Overlaps::add(const Footprint &added) {
    if (added.written && overlaps_itself(added))
        fail(ZETA_ERROR_OVERLAP, "%s overlaps itself: two of its indices share an element", added.name);
    for (int i = 0; i < count_; ++i) {
        const Footprint &other = footprints_[i];
        if ((added.written || other.written) && overlap(added, other))
            fail(ZETA_ERROR_OVERLAP, "%s overlaps %s: they share at least one element", added.name, other.name);
    }
    assert(count_ < kMaxFootprints);
    footprints_[count_++] = added;
}

void Overlaps::input(const char *name, const zeta_tensor *tensor) {
    if (tensor != nullptr) add(footprint(name, *tensor, false));
}

void Overlaps::output(const char *name, const zeta_tensor *tensor) {
    if (tensor != nullptr) add(footprint(name, *tensor, true));
}

void Overlaps::input(const char *name, const void *data, size_t bytes) {
    if (data != nullptr) add(footprint(name, data, bytes, false));
}

void Overlaps::output(const char *name, const void *data, size_t bytes) {
    if (data != nullptr) add(footprint(name, data, bytes, true));
}

} // namespace zeta::api
