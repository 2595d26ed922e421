#include "policies/workload.h"

#include <algorithm>

#include "policies/classify_lines.h"
#include "providers/price_book.h"

namespace sluice {
namespace {

constexpr std::size_t workload_bytes_max = 4 << 20;
constexpr std::size_t groups_max = 10'000;
constexpr std::int64_t tokens_max = 100'000'000;

class WorkloadReader {
public:
    WorkloadReader(Workload& workload, const Policy& policy, std::string_view date)
        : workload_(workload), policy_(policy), date_(date) {
        for (const PolicyTier& tier : policy.tiers)
            known_.insert(known_.end(), tier.upstreams.begin(), tier.upstreams.end());
    }

    void read(Cursor root) {
        if (!root.expect_map()) return;
        if (auto version = root.need("version")) version->integer(1, 1);
        if (auto upstreams = root.need("upstreams")) read_upstreams(*upstreams);
        if (auto groups = root.need("groups")) read_groups(*groups);
        if (auto hosting = root.find("self_hosting")) read_self_hosting(*hosting);
        root.close();
    }

private:
    void read_upstreams(Cursor& upstreams) {
        for (auto& [name, at] : upstreams.pairs()) {
            if (policy_.tier_of(name) == nullptr) fault_unknown(at, name);
            read_upstream(name, at);
        }
        for (const PolicyTier& tier : policy_.tiers)
            if (std::none_of(tier.upstreams.begin(), tier.upstreams.end(),
                             [this](const std::string& one) { return priced(one); }))
                upstreams.fault("tier '" + tier.name +
                                "' of the policy has no upstream with a price here: add one of " +
                                listed(tier.upstreams));
    }

    void read_upstream(const std::string& name, Cursor& at) {
        if (!at.expect_map()) return;
        Upstream upstream;
        upstream.name = name;
        upstream.images = true;
        upstream.price_known = true;
        if (auto vendor = at.find("vendor"))
            read_book_price(at, vendor->text().value_or(""), upstream);
        else
            read_price(at, upstream.price);
        if (auto field = at.find("tools")) upstream.tools = field->boolean().value_or(true);
        if (auto field = at.find("images")) upstream.images = field->boolean().value_or(true);
        if (auto field = at.find("json_schema"))
            upstream.json_schema = field->boolean().value_or(true);
        if (auto field = at.find("context_tokens"))
            upstream.context_tokens = field->integer(1, tokens_max).value_or(0);
        at.close();
        workload_.upstreams.push_back(std::move(upstream));
    }

    void read_book_price(Cursor& at, const std::string& vendor, Upstream& upstream) {
        auto field = at.need("model");
        if (!field) return;
        upstream.model = field->text().value_or("");
        upstream.vendor.name = vendor;
        const PriceEntry* entry = PriceBook::builtin().find(vendor, upstream.model, date_);
        if (entry != nullptr)
            upstream.price = entry->price;
        else
            at.fault("the price book knows no price of " + vendor + " " + upstream.model + " on " +
                     date_ + ": write 'input' and 'output' in its place");
    }

    static void read_price(Cursor& at, Price& price) {
        auto one = [](std::optional<Cursor> field, std::int64_t otherwise) {
            if (!field) return otherwise;
            auto text = field->text();
            if (!text) return otherwise;
            auto pico = pico_per_token(*text);
            if (!pico) field->fault(pico.error().message);
            return pico ? *pico : otherwise;
        };
        price.input = one(at.need("input"), 0);
        price.output = one(at.need("output"), 0);
        price.cache_read = one(at.find("cached_input"), price.input);
        price.cache_write = price.cache_write_1h = price.input;
    }

    void read_groups(Cursor& groups) {
        auto items = groups.items();
        if (groups.is_list() && items.empty()) groups.fault("expected at least one group");
        if (items.size() > groups_max)
            return groups.fault("expected at most " + std::to_string(groups_max) + " groups");
        std::int64_t requests = 0;
        for (Cursor& item : items) {
            if (!item.expect_map()) continue;
            WorkloadGroup group = read_group(item);
            requests += group.count;
            workload_.groups.push_back(std::move(group));
        }
        if (requests > workload_requests_max)
            groups.fault("expected at most " + std::to_string(workload_requests_max) +
                         " requests in all, got " + std::to_string(requests));
    }

    WorkloadGroup read_group(Cursor& item) {
        WorkloadGroup group;
        group.line = item.line();
        if (auto at = item.need("name")) group.name = at->text().value_or("");
        if (auto at = item.need("count"))
            group.count = at->integer(1, workload_requests_max).value_or(1);
        if (auto at = item.need("output_tokens"))
            group.output_tokens = at->integer(0, tokens_max).value_or(0);
        if (auto at = item.find("cached_share")) group.cached_share = at->number(0, 1).value_or(0);
        auto prompt = item.find("prompt");
        if (prompt) group.request = request_of(prompt->text().value_or(""));
        if (auto at = item.find("input_tokens")) group.input_tokens = at->integer(0, tokens_max);
        if (auto at = item.find("difficulty")) group.difficulty = at->number(0, 1);
        if (auto at = item.find("gain")) group.gain = at->number(-1, 1);
        if (!prompt && !item.find("difficulty"))
            item.fault("expected 'difficulty', or 'prompt' for the classifier to read");
        if (!prompt && !item.find("input_tokens"))
            item.fault("expected 'input_tokens', or 'prompt' to estimate them from");
        read_caller(item, group);
        read_needs(item, group.request);
        item.close();
        return group;
    }

    static void read_text(Cursor& item, const char* key, std::string& out) {
        if (auto at = item.find(key)) out = at->text().value_or("");
    }

    static void read_caller(Cursor& item, WorkloadGroup& group) {
        read_text(item, "team", group.caller.team);
        read_text(item, "key", group.caller.key_id);
        read_text(item, "data_class", group.labels.data_class);
        group.request.model = "auto";
        read_text(item, "model", group.request.model);
        if (auto tags = item.find("tags"))
            for (auto& [tag, value] : tags->pairs())
                if (auto text = value.text()) group.labels.tags[tag] = *text;
    }

    static void read_needs(Cursor& item, ChatRequest& request) {
        auto wanted = [&item](const char* key) {
            auto at = item.find(key);
            return at && at->boolean().value_or(false);
        };
        if (wanted("tools")) request.tools.emplace_back();
        if (wanted("json_schema")) request.response_format = R"({"type":"json_schema"})";
        if (!wanted("images")) return;
        Message message;
        message.parts.emplace_back().kind = Part::Kind::image;
        request.messages.push_back(std::move(message));
    }

    void read_self_hosting(Cursor& at) {
        if (!at.expect_map()) return;
        SelfHosting& own = workload_.self_hosting.emplace();
        if (auto field = at.need("upstream")) own.upstream = priced_name(*field);
        own.instead_of = own.upstream;
        if (auto field = at.find("instead_of")) own.instead_of = priced_name(*field);
        auto money = [](std::optional<Cursor> field, Money& out) {
            if (!field) return;
            auto usd = parse_usd(field->text().value_or("0"));
            if (usd)
                out = *usd;
            else
                field->fault(usd.error().message);
        };
        money(at.need("gpu_hour_usd"), own.gpu_hour);
        money(at.find("other_usd_per_day"), own.other_per_day);
        if (auto field = at.find("hours_per_day"))
            own.hours_per_day = field->number(0.1, 24).value_or(24);
        if (auto field = at.need("output_tokens_per_second"))
            own.output_tokens_per_second = field->integer(1, 10'000'000).value_or(1);
        at.close();
    }

    std::string priced_name(Cursor& at) {
        std::string name = at.text().value_or("");
        if (!name.empty() && !priced(name)) fault_unknown(at, name);
        return name;
    }

    bool priced(std::string_view name) const {
        return std::any_of(workload_.upstreams.begin(), workload_.upstreams.end(),
                           [name](const Upstream& one) { return one.name == name; });
    }

    void fault_unknown(Cursor& at, const std::string& name) const {
        std::string near = nearest_word(name, known_);
        at.fault(
            "no upstream '" + name + "' in the policy" +
            (near.empty() ? ", it names " + listed(known_) : ", did you mean '" + near + "'?"));
    }

    static std::string listed(const std::vector<std::string>& words) {
        std::string out;
        for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
        return out;
    }

    Workload& workload_;
    const Policy& policy_;
    std::string date_;
    std::vector<std::string> known_;
};

}  // namespace

Workload read_workload(std::string_view yaml, const std::string& file, const Policy& policy,
                       std::string_view date, std::vector<Fault>& faults) {
    Workload workload;
    workload.file = file;
    if (yaml.size() > workload_bytes_max) {
        faults.push_back(Fault{file, 1, 1, "", "a workload has at most 4 MiB"});
        return workload;
    }
    auto root = Cursor::parse(yaml, file, faults);
    if (root) WorkloadReader(workload, policy, date).read(*root);
    return workload;
}

}  // namespace sluice
