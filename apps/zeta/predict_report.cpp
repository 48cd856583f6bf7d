// SPDX-License-Identifier: Apache-2.0
// Sizes are what an arithmetic coder driven by the distributions would write: the code length, rounded up.
#include "predict_report.hpp"

#include <cmath>
#include <iomanip>
#include <iostream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "file.hpp"
#include "session.hpp"

namespace zeta::app {

namespace {

using Json = nlohmann::ordered_json;

int64_t bytes_of(double bits) {
    return static_cast<int64_t>(std::ceil(bits / 8));
}

std::string number(double value, int digits) {
    std::ostringstream text;
    text << std::fixed << std::setprecision(digits) << value;
    return text.str();
}

std::string title(const PredictModel &model, const std::string &select) {
    const std::string k = std::to_string(model.neighbours);
    if (select == "window") return "window, W = K = " + k;
    if (select == "reranked") return "re-ranked, W = " + std::to_string(model.reranked_window());
    if (select == "exact") return "exact, K = " + k;
    return "dense";
}

// The size of `bzip2 -9`, or -1.
int64_t yardstick(const PredictReport &report) {
    for (const Compressed &compressed : report.compressors)
        if (compressed.command == "bzip2 -9") return compressed.bytes;
    return -1;
}

void print_row(const std::string &name, const std::vector<std::string> &columns) {
    std::cout << "  " << std::left << std::setw(24) << name << std::right;
    for (const std::string &column : columns) std::cout << std::setw(13) << column;
    std::cout << "\n";
}

void print_head(const PredictReport &report) {
    std::cout << "zeta " << zeta_version() << ", " << cpu_name() << ", " << report.isa << ", " << report.threads
              << (report.threads == 1 ? " thread" : " threads") << "\n"
              << printable(report.text) << ", " << report.bytes << " bytes; dk " << report.model.dk << ", "
              << report.model.gamma.size() << (report.model.gamma.size() == 1 ? " head" : " heads") << ", gamma";
    for (float gamma : report.model.gamma) std::cout << " " << gamma;
    std::cout << "\n\n";
}

void print_dense(const PredictReport &report) {
    std::cout << "\nThe first " << report.prefix << " bytes, all that dense attention, quadratic, is given (--dense)\n";
    print_row("", {"bits/byte", "attention s"});
    print_row("dense", {number(report.dense.bits_per_byte(), 4), number(report.dense.attention_seconds, 2)});
    for (const Pass &pass : report.passes)
        print_row(title(report.model, pass.select), {number(pass.prefix_bits / static_cast<double>(report.prefix), 4)});
}

Json pass_json(const PredictReport &report, const Pass &pass) {
    Json object;
    object["select"] = pass.select;
    object["neighbours"] = report.model.neighbours;
    object["window"] = pass.select == "reranked" ? report.model.reranked_window() : report.model.neighbours;
    object["bits_per_byte"] = pass.bits_per_byte();
    object["size"] = bytes_of(pass.bits);
    if (report.prefix > 0) object["prefix_bits_per_byte"] = pass.prefix_bits / static_cast<double>(report.prefix);
    object["recall"] = pass.recall < 0 ? Json() : Json(pass.recall);
    object["attention_seconds"] = pass.attention_seconds;
    object["mix_seconds"] = pass.mix_seconds;
    return object;
}

} // namespace

void print_table(const PredictReport &report) {
    print_head(report);
    const int64_t bzip2 = yardstick(report);
    const auto relative = [&](int64_t bytes) {
        return bzip2 > 0 ? number(static_cast<double>(bytes) / static_cast<double>(bzip2), 3) : std::string("-");
    };
    print_row("", {"bits/byte", "bytes", "of bzip2", "recall", "attention s", "mixing s"});
    for (const Pass &pass : report.passes)
        print_row(title(report.model, pass.select),
                  {number(pass.bits_per_byte(), 4), std::to_string(bytes_of(pass.bits)), relative(bytes_of(pass.bits)),
                   pass.recall < 0 ? "-" : number(pass.recall, 3), number(pass.attention_seconds, 2),
                   number(pass.mix_seconds, 2)});
    for (const Compressed &compressed : report.compressors) {
        if (compressed.bytes < 0) {
            std::cout << "  " << compressed.command << ": not to be had: " << compressed.reason << "\n";
            continue;
        }
        const double bits = 8 * static_cast<double>(compressed.bytes) / static_cast<double>(report.bytes);
        print_row(compressed.command, {number(bits, 4), std::to_string(compressed.bytes), relative(compressed.bytes)});
    }
    if (report.prefix > 0) print_dense(report);
    std::cout << "\n" << number(report.seconds, 1) << " s in all";
    if (!report.picture.empty()) std::cout << "; picture in " << printable(report.picture);
    std::cout << "\n";
}

void print_json(const PredictReport &report) {
    Json object;
    object["version"] = zeta_version();
    object["cpu"] = cpu_name();
    object["isa"] = report.isa;
    object["threads"] = report.threads;
    object["text"] = report.text;
    object["bytes"] = report.bytes;
    object["dk"] = report.model.dk;
    object["gamma"] = report.model.gamma;
    object["passes"] = Json::array();
    for (const Pass &pass : report.passes) object["passes"].push_back(pass_json(report, pass));
    object["dense"] = nullptr;
    if (report.prefix > 0)
        object["dense"] = {{"bytes", report.prefix},
                           {"bits_per_byte", report.dense.bits_per_byte()},
                           {"attention_seconds", report.dense.attention_seconds}};
    object["compressors"] = Json::array();
    for (const Compressed &compressed : report.compressors) {
        Json entry{{"command", compressed.command}};
        entry["size"] = compressed.bytes < 0 ? Json() : Json(compressed.bytes);
        if (compressed.bytes < 0) entry["reason"] = compressed.reason;
        object["compressors"].push_back(entry);
    }
    object["picture"] = report.picture.empty() ? Json() : Json(report.picture);
    object["seconds"] = report.seconds;
    std::cout << object.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

} // namespace zeta::app
