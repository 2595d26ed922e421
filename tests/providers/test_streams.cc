// Every streams/DIALECT_NAME.sse is a vendor's answer as it comes over the wire; NAME.deltas beside
// it is what must be read from it; "inline_think" in the name sets that quirk.
// SLUICE_WRITE_DELTAS=1 writes the latter anew: read the difference.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "chat_samples.h"
#include "providers/dialect.h"
#include "providers/error_table.h"

using namespace sluice;
namespace fs = std::filesystem;

namespace {

std::string file_text(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

void show_all(std::string& out, const std::vector<Delta>& deltas) {
    for (const Delta& delta : deltas) {
        if (!delta.model.empty()) out += "model=" + delta.model + " id=" + delta.upstream_id + "\n";
        out += shown(delta);
    }
}

// What a stream reads as when its bytes come `step` at a time.
std::string read_stream(const Dialect& dialect, std::string_view bytes, std::size_t step,
                        bool inline_think) {
    Upstream upstream = plain_upstream(std::string(dialect.name()));
    upstream.vendor.inline_think = inline_think;
    auto reader = dialect.event_reader(upstream);
    SseReader sse;
    std::string out;
    auto error_line = [&](const Error& error) {
        return out + "error " + std::string(errc_name(error.code)) + ": " + error.message + "\n";
    };
    for (std::size_t at = 0; at < bytes.size(); at += step) {
        std::vector<SseEvent> events;
        if (Status fed = sse.feed(bytes.substr(at, step), events); !fed)
            return error_line(fed.error());
        for (const SseEvent& event : events) {
            std::vector<Delta> deltas;
            Status status = reader->read(event, deltas);
            show_all(out, deltas);
            if (!status) return error_line(status.error());
        }
    }
    std::vector<Delta> deltas;
    Status status = reader->finish(deltas);
    show_all(out, deltas);
    return status ? out : error_line(status.error());
}

}  // namespace

TEST_CASE("recorded streams read as they should, whole and in any cut", "[streams]") {
    fs::path folder = fs::path(SLUICE_SOURCE_DIR) / "tests/providers/streams";
    int seen = 0;
    for (auto& file : fs::directory_iterator(folder)) {
        if (file.path().extension() != ".sse") continue;
        ++seen;
        std::string name = file.path().stem();
        INFO(name);
        const Dialect* dialect =
            find_dialect(name.rfind("anthropic", 0) == 0 ? "anthropic_messages" : "openai_chat");
        REQUIRE(dialect);
        std::string bytes = file_text(file.path());
        bool inline_think = name.find("inline_think") != std::string::npos;
        std::string whole = read_stream(*dialect, bytes, bytes.size(), inline_think);
        fs::path expected = file.path();
        expected.replace_extension(".deltas");
        if (std::getenv("SLUICE_WRITE_DELTAS")) std::ofstream(expected) << whole;
        CHECK(whole == file_text(expected));
        for (std::size_t step : {1U, 2U, 7U, 64U}) {
            INFO("step " << step);
            CHECK(read_stream(*dialect, bytes, step, inline_think) == whole);
        }
    }
    CHECK(seen >= 20);
}
