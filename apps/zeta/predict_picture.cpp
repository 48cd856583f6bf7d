// SPDX-License-Identifier: Apache-2.0
// A sample of the keys is drawn, equally spaced along the curve: all would only paint the paper. Three coordinates are
// seen from a corner of the cube; with fewer the missing ones are 0.5, with more only the first three are drawn.
#include "predict_picture.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <vector>

namespace zeta::app {

namespace {

constexpr size_t kSample = 4000;   // keys drawn
constexpr size_t kStretches = 160; // of the curve, each with a colour of its own
constexpr size_t kListed = 24;     // neighbours written out
constexpr size_t kContext = 28;    // bytes of context written out
constexpr double kSide = 720;      // of the drawing, in pixels

struct Point {
    double x, y;
};

// Isometric: coordinate 0 to the lower right, 1 to the lower left, 2 up.
Point project(const float *key, int dk) {
    const double a = key[0], b = dk > 1 ? key[1] : 0.5, c = dk > 2 ? key[2] : 0.5;
    return {kSide * (0.5 + (a - b) * 0.433), kSide * (0.54 + (a + b) * 0.235 - c * 0.5)};
}

std::string fixed(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", value);
    return text;
}

std::string escape(uint8_t byte) {
    switch (byte) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case ' ':
        return "\u00b7";
    case '\n':
        return "\u00b6";
    default:
        return byte < 32 || byte > 126 ? "?" : std::string(1, static_cast<char>(byte));
    }
}

// The bytes before `position`, padded on the left.
std::string context_before(const Text &text, int64_t position) {
    const auto end = static_cast<size_t>(position), begin = end - std::min(end, kContext);
    std::string shown;
    for (size_t i = end - begin; i < kContext; ++i) shown += "\u00a0";
    for (size_t i = begin; i < end; ++i) shown += escape(text[i]);
    return shown;
}

std::vector<uint64_t> codes_of(const Context &context, const PredictModel &model, const Array &points) {
    const int64_t n = points.extent(-2), shape[3] = {1, 1, n}, point_shape[4] = {1, 1, n, points.extent(-1)};
    std::vector<uint64_t> codes(static_cast<size_t>(n));
    const zeta_attention_params params = model.params("window");
    const zeta_tensor x = zeta_tensor_contiguous(const_cast<float *>(points.data<float>()), ZETA_F32, 4, point_shape);
    const zeta_tensor out = zeta_tensor_contiguous(codes.data(), ZETA_U64, 3, shape);
    check(zeta_codes_encode(context.get(), &params.grid, &x, &out), "picture");
    return codes;
}

struct Neighbour {
    float distance;
    int64_t key;
};

// Nearest first, and of equally near ones the newest.
std::vector<Neighbour> neighbours_of(const Context &context, const PredictModel &model, const Corpus &corpus,
                                     int64_t position) {
    const int64_t width = model.dk, keys = position + 1, k_shape[4] = {1, 1, keys, width},
                  q_shape[4] = {1, 1, 1, width};
    const int64_t slots[4] = {1, 1, 1, model.neighbours};
    std::vector<int32_t> found(static_cast<size_t>(model.neighbours));
    std::vector<float> distance(found.size());
    auto *q = const_cast<float *>(corpus.keys.q.data<float>()) + position * width; // inputs are not written
    auto *k = const_cast<float *>(corpus.keys.k.data<float>());
    const zeta_tensor q_view = zeta_tensor_contiguous(q, ZETA_F32, 4, q_shape);
    const zeta_tensor k_view = zeta_tensor_contiguous(k, ZETA_F32, 4, k_shape);
    const zeta_tensor n_view = zeta_tensor_contiguous(found.data(), ZETA_I32, 4, slots);
    const zeta_tensor d_view = zeta_tensor_contiguous(distance.data(), ZETA_F32, 4, slots);
    zeta_attention_params params = model.params("window");
    params.gamma_count = 1;
    check(zeta_select(context.get(), &params, &q_view, &k_view, &n_view, &d_view), "picture");
    std::vector<Neighbour> neighbours;
    for (size_t i = 0; i < found.size() && found[i] >= 0; ++i) neighbours.push_back({distance[i], found[i]});
    std::sort(neighbours.begin(), neighbours.end(), [](const Neighbour &a, const Neighbour &b) {
        return a.distance != b.distance ? a.distance < b.distance : a.key > b.key;
    });
    return neighbours;
}

void draw_cube(std::ostream &svg) {
    std::array<Point, 8> corner{};
    for (unsigned i = 0; i < 8; ++i) {
        const float key[3] = {static_cast<float>(i & 1), static_cast<float>(i >> 1 & 1), static_cast<float>(i >> 2)};
        corner[i] = project(key, 3);
    }
    svg << "<g stroke=\"#ccc\" stroke-width=\"1\">\n";
    for (unsigned i = 0; i < 8; ++i)
        for (unsigned axis = 1; axis < 8; axis *= 2)
            if (!(i & axis))
                svg << "<line x1=\"" << fixed(corner[i].x) << "\" y1=\"" << fixed(corner[i].y) << "\" x2=\""
                    << fixed(corner[i | axis].x) << "\" y2=\"" << fixed(corner[i | axis].y) << "\"/>\n";
    svg << "</g>\n";
}

void draw_curve(std::ostream &svg, const std::vector<uint64_t> &codes, const PredictModel &model,
                const Corpus &corpus) {
    std::vector<size_t> order(codes.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return codes[a] != codes[b] ? codes[a] < codes[b] : a < b; });
    const size_t count = std::min(kSample, order.size()), stretches = std::min(kStretches, count);
    const auto point = [&](size_t i) {
        const size_t key = order[i * order.size() / count];
        return project(corpus.keys.k.data<float>() + key * static_cast<size_t>(model.dk), model.dk);
    };
    svg << "<g fill=\"none\" stroke-width=\"0.6\">\n";
    for (size_t s = 0; s < stretches; ++s) {
        const std::string colour = "hsl(" + std::to_string(300 * s / stretches) + ",75%,45%)";
        std::string line, dots;
        const size_t end = (s + 1) * count / stretches;
        for (size_t i = s * count / stretches; i < std::min(end + 1, count); ++i) {
            const Point p = point(i);
            line += fixed(p.x) + "," + fixed(p.y) + " ";
            if (i < end) dots += "M" + fixed(p.x) + " " + fixed(p.y) + "h0";
        }
        svg << "<polyline stroke=\"" << colour << "\" stroke-opacity=\"0.35\" points=\"" << line << "\"/>\n"
            << "<path stroke=\"" << colour << "\" stroke-width=\"2.2\" stroke-linecap=\"round\" d=\"" << dots
            << "\"/>\n";
    }
    svg << "</g>\n";
}

// The corner of the drawing that shows the neighbours enlarged, joined along the curve, newest last among equal codes.
void draw_inset(std::ostream &svg, const Corpus &corpus, const std::vector<uint64_t> &codes,
                std::vector<Neighbour> neighbours, Point q) {
    constexpr double kLeft = 20, kTop = 530, kSize = 210;
    const int dk = static_cast<int>(corpus.keys.k.extent(-1));
    const auto place = [&](const Neighbour &neighbour) {
        const Point p = project(corpus.keys.k.data<float>() + neighbour.key * dk, dk);
        return Point{p.x - q.x, p.y - q.y};
    };
    double reach = 1e-6;
    for (const Neighbour &neighbour : neighbours)
        reach = std::max({reach, std::abs(place(neighbour).x), std::abs(place(neighbour).y)});
    const double scale = 0.46 * kSize / reach, x = kLeft + kSize / 2, y = kTop + kSize / 2;
    std::sort(neighbours.begin(), neighbours.end(), [&](const Neighbour &a, const Neighbour &b) {
        const uint64_t code_a = codes[static_cast<size_t>(a.key)], code_b = codes[static_cast<size_t>(b.key)];
        return code_a != code_b ? code_a < code_b : a.key < b.key;
    });
    std::string line, rings;
    for (const Neighbour &neighbour : neighbours) {
        const std::string at_x = fixed(x + scale * place(neighbour).x), at_y = fixed(y + scale * place(neighbour).y);
        line += at_x + "," + at_y + " ";
        rings += "<circle cx=\"" + at_x + "\" cy=\"" + at_y + "\" r=\"2.5\"/>\n";
    }
    svg << "<rect x=\"" << kLeft << "\" y=\"" << kTop << "\" width=\"" << kSize << "\" height=\"" << kSize
        << "\" fill=\"#fff\" fill-opacity=\"0.9\" stroke=\"#d00\"/>\n"
        << "<g fill=\"none\" stroke=\"#000\">\n<polyline stroke-opacity=\"0.3\" points=\"" << line << "\"/>\n"
        << rings << "</g>\n<circle cx=\"" << fixed(x) << "\" cy=\"" << fixed(y)
        << "\" r=\"6\" fill=\"none\" stroke=\"#d00\" stroke-width=\"2.5\"/>\n";
    svg << "<text x=\"" << kLeft << "\" y=\"" << kTop - 6
        << "\" font-family=\"DejaVu Sans,Helvetica,Arial,sans-serif\" font-size=\"12\">at the red ring, enlarged "
        << fixed(scale) << " times</text>\n";
}

Point draw_query(std::ostream &svg, const PredictModel &model, const Corpus &corpus, int64_t position) {
    const Point q = project(corpus.keys.q.data<float>() + position * model.dk, model.dk);
    svg << "<circle cx=\"" << fixed(q.x) << "\" cy=\"" << fixed(q.y)
        << "\" r=\"8\" fill=\"none\" stroke=\"#d00\" stroke-width=\"2.5\"/>\n";
    return q;
}

void write_line(std::ostream &svg, double y, const std::string &context, const std::string &next,
                const std::string &note) {
    svg << "<text x=\"" << fixed(kSide + 30) << "\" y=\"" << fixed(y) << "\">" << context
        << "<tspan fill=\"#d00\" font-weight=\"bold\">" << next << "</tspan></text>\n"
        << "<text x=\"" << fixed(kSide + 400) << "\" y=\"" << fixed(y) << "\" text-anchor=\"end\" fill=\"#777\">"
        << note << "</text>\n";
}

void write_contexts(std::ostream &svg, const Corpus &corpus, const std::vector<Neighbour> &neighbours,
                    int64_t position) {
    svg << "<g font-family=\"DejaVu Sans Mono,Menlo,Consolas,monospace\" font-size=\"13\">\n";
    const auto next = [&](int64_t t) { return escape(corpus.text[static_cast<size_t>(t)]); };
    write_line(svg, 64, "query " + std::to_string(position), "", "distance");
    write_line(svg, 86, context_before(corpus.text, position), next(position), "");
    const size_t listed = std::min(neighbours.size(), kListed);
    double y = 116;
    for (size_t i = 0; i < listed; ++i, y += 22) {
        const int64_t predicted = neighbours[i].key - 1; // row t of the keys stands before byte t - 1
        char note[32];
        std::snprintf(note, sizeof note, "%.1e", std::sqrt(static_cast<double>(neighbours[i].distance)));
        if (predicted < 0)
            write_line(svg, y, "(start of the text)", "", note);
        else
            write_line(svg, y, context_before(corpus.text, predicted), next(predicted), note);
    }
    if (listed < neighbours.size())
        write_line(svg, y, "and " + std::to_string(neighbours.size() - listed) + " more", "", "");
    svg << "</g>\n";
}

} // namespace

int64_t picture_position(const Text &text) {
    const auto letter = [&](size_t i) { return i < 128 && std::isalpha(static_cast<int>(i)) != 0; };
    const size_t n = text.size();
    for (size_t t = n - n / 4; t + 1 < n && t >= 4; ++t)
        if (!letter(text[t - 4]) && letter(text[t - 3]) && letter(text[t - 2]) && letter(text[t - 1]) &&
            letter(text[t]))
            return static_cast<int64_t>(t);
    return static_cast<int64_t>(n) - 1;
}

std::string draw_picture(const Context &context, const PredictModel &model, const Corpus &corpus, int64_t position) {
    const std::vector<Neighbour> neighbours = neighbours_of(context, model, corpus, position);
    const std::vector<uint64_t> codes = codes_of(context, model, corpus.keys.k);
    std::ostringstream svg;
    svg << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1140\" height=\"760\" viewBox=\"0 0 1140 760\">\n"
        << "<title>Keys along the Z-curve and the neighbours of one query</title>\n"
        << "<rect width=\"1140\" height=\"760\" fill=\"#fff\"/>\n";
    draw_cube(svg);
    draw_curve(svg, codes, model, corpus);
    draw_inset(svg, corpus, codes, neighbours, draw_query(svg, model, corpus, position));
    svg << "<g font-family=\"DejaVu Sans,Helvetica,Arial,sans-serif\" font-size=\"14\">\n"
        << "<text x=\"20\" y=\"32\">Contexts as points, joined along the Z-curve (colour: place on the curve)</text>\n"
        << "<text x=\"" << fixed(kSide + 30) << "\" y=\"32\">One query, its neighbours, what came next</text>\n</g>\n";
    write_contexts(svg, corpus, neighbours, position);
    svg << "</svg>\n";
    return svg.str();
}

} // namespace zeta::app
