#include "policies/workload.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr std::size_t workload_bytes_max = 4 << 20;
constexpr std::size_t groups_max = 10'000;
constexpr std::int64_t tokens_max = 100'000'000;

class WorkloadReader {
public:
    WorkloadReader(Workload& workload, const Policy& policy, std::string_view date)
        : workload_(workload), policy_(policy), date_(date) {}

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
        workload_.upstreams = read_described_upstreams(upstreams, policy_, date_);
        for (const PolicyTier& tier : policy_.tiers)
            if (std::none_of(tier.upstreams.begin(), tier.upstreams.end(),
                             [this](const std::string& one) { return priced(one); }))
                upstreams.fault("tier '" + tier.name +
                                "' of the policy has no upstream with a price here: add one of " +
                                listed(tier.upstreams));
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
        group.described = read_described(item, policy_);
        group.described.expected_output_tokens = group.output_tokens;
        item.close();
        return group;
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
        if (!name.empty() && !priced(name)) fault_unknown_upstream(at, policy_, name);
        return name;
    }

    bool priced(std::string_view name) const {
        return std::any_of(workload_.upstreams.begin(), workload_.upstreams.end(),
                           [name](const Upstream& one) { return one.name == name; });
    }

    static std::string listed(const std::vector<std::string>& words) {
        std::string out;
        for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
        return out;
    }

    Workload& workload_;
    const Policy& policy_;
    std::string date_;
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
