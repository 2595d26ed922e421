#include "gateway/eval/tier_identity.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "policies/route.h"
#include "policies/sha256.h"
#include "providers/token_estimate.h"

namespace sluice {
namespace {

constexpr std::uintmax_t pieces = 64, piece_bytes = 64 << 10;
constexpr std::int64_t monday_noon = 1'795'435'200;  // 2026-11-23T12:00:00Z

std::string file_digest(const std::filesystem::path& path, std::error_code& failed) {
    std::uintmax_t size = std::filesystem::file_size(path, failed);
    std::ifstream in(path, std::ios::binary);
    if (failed || !in) {
        if (!failed) failed = std::make_error_code(std::errc::io_error);
        return "";
    }
    std::string bytes = path.filename().string() + " " + std::to_string(size) + "\n";
    std::string piece(piece_bytes, 0);
    std::uintmax_t last = size > piece_bytes ? size - piece_bytes : 0;
    for (std::uintmax_t i = 0; i < pieces; ++i) {
        in.clear();  // a piece may have met the end
        in.seekg(static_cast<std::streamoff>(last * i / (pieces - 1)));
        in.read(piece.data(), piece_bytes);
        bytes.append(piece.data(), static_cast<std::size_t>(in.gcount()));
        if (last == 0) break;
    }
    return sha256_hex(bytes);
}

RouteInput input_of(const Caller& caller, const GoldenCase& one, const ChatRequest& chat,
                    const Difficulty& difficulty) {
    RouteInput input{caller, one.labels, chat, difficulty, estimate_input_tokens(chat)};
    input.with_reason = false;
    input.unix_seconds = monday_noon;
    return input;
}

}  // namespace

const Upstream* measured_upstream(const Config& config, const PolicyTier& tier) {
    for (const std::string& name : tier.upstreams)
        if (const Upstream* one = config.upstream(name)) return one;
    return nullptr;
}

Result<std::string> model_digest(const std::string& path) {
    std::vector<std::filesystem::path> files = {path};
    std::error_code failed;
    if (std::filesystem::is_directory(path, failed)) {
        files.clear();
        for (const auto& entry : std::filesystem::directory_iterator(path, failed))
            if (entry.is_regular_file(failed)) files.push_back(entry.path());
        std::sort(files.begin(), files.end());
    }
    std::string all;
    for (const auto& file : files) {
        if (failed) break;
        all += file_digest(file, failed);
    }
    if (failed) return Error(Errc::bad_file, path + ": " + failed.message());
    return sha256_hex(all).substr(0, 16);
}

Result<std::string> identity_of(const Config& config, const PolicyTier& tier) {
    const Upstream* upstream = measured_upstream(config, tier);
    if (upstream == nullptr)
        return Error(Errc::bad_config, "tier '" + tier.name + "' has no upstream to call");
    std::string out = upstream->vendor.name + "/" + upstream->model;
    if (!upstream->local()) out += " at " + upstream->base_url;
    if (upstream->local()) {
        const EngineOptions& engine = config.engine->options;
        auto digest = model_digest(engine.model_path);
        if (!digest) return digest.error();
        out += " sha256:" + *digest + " kv:" + engine.kv_format;
    }
    const RuleEffects& effects = config.policy.effects;
    auto effort = effects.reasoning_effort.find(tier.name);
    if (effort == effects.reasoning_effort.end()) effort = effects.reasoning_effort.find("");
    if (effort != effects.reasoning_effort.end()) out += " effort:" + effort->second;
    if (effects.max_tokens) out += " max_tokens:" + std::to_string(*effects.max_tokens);
    return out;
}

Result<std::vector<ConfiguredTier>> configured_tiers(const Config& config) {
    std::vector<ConfiguredTier> out;
    for (const PolicyTier& tier : config.policy.tiers) {
        if (measured_upstream(config, tier) == nullptr) continue;
        auto identity = identity_of(config, tier);
        if (!identity) return identity.error();
        out.push_back({tier.name, *identity});
    }
    return out;
}

std::vector<std::string> routed_tiers(const Config& config, const GoldenSet& set) {
    std::vector<UpstreamView> views;
    for (const Upstream& upstream : config.upstreams) views.push_back({&upstream, true, {}, 0, 0});
    std::vector<std::string> out;
    for (const GoldenCase& one : set.cases) {
        ChatRequest chat;
        chat.model = "auto";
        chat.messages = one.messages;
        chat.max_tokens = one.max_tokens;
        Caller caller{one.org, one.team, "eval", ""};
        Difficulty difficulty = config.classifier->classify(chat);
        auto route = choose_route(config.policy, input_of(caller, one, chat, difficulty), views);
        out.push_back(route ? route->attempts.front().tier : "");
    }
    return out;
}

}  // namespace sluice
