#include "gateway/command_line.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace sluice {

Option& Option::required() {
    option_->required();
    return *this;
}

Option& Option::type_name(const char* name) {
    option_->type_name(name);
    return *this;
}

Option& Option::delimiter(char between) {
    option_->delimiter(between);
    return *this;
}

Option& Option::capture_default_str() {
    option_->capture_default_str();
    return *this;
}

Option& Option::needs(const Option& other) {
    option_->needs(other.option_);
    return *this;
}

Option& Option::positive() {
    option_->check(CLI::PositiveNumber);
    return *this;
}

Option& Option::one_of(std::vector<std::string> values) {
    option_->check(CLI::IsMember(std::move(values)));
    return *this;
}

template <class T>
Option& Option::in_range(T lowest, T highest) {
    option_->check(CLI::Range(lowest, highest));
    if constexpr (std::is_floating_point_v<T>)
        option_->check([](const std::string& said) {  // is in every range, to CLI::Range
            return std::isnan(std::strtod(said.c_str(), nullptr)) ? "expected a number, got " + said
                                                                  : std::string();
        });
    return *this;
}
template Option& Option::in_range(int, int);
template Option& Option::in_range(std::int64_t, std::int64_t);
template Option& Option::in_range(double, double);

Command Command::add_subcommand(const char* name, const char* help) {
    return Command(app_->add_subcommand(name, help));
}

void Command::require_subcommand() { app_->require_subcommand(1); }

void Command::footer(const char* text) { app_->footer(text); }

void Command::callback(std::function<void()> run) { app_->callback(std::move(run)); }

Option Command::add_flag(const char* names, bool& value, const char* help) {
    return Option(app_->add_flag(names, value, help));
}

template <class T>
Option Command::add_option(const char* names, T& value, const char* help) {
    return Option(app_->add_option(names, value, help));
}
template Option Command::add_option(const char*, std::string&, const char*);
template Option Command::add_option(const char*, std::vector<std::string>&, const char*);
template Option Command::add_option(const char*, int&, const char*);
template Option Command::add_option(const char*, std::vector<int>&, const char*);
template Option Command::add_option(const char*, std::int64_t&, const char*);
template Option Command::add_option(const char*, std::uint64_t&, const char*);
template Option Command::add_option(const char*, std::optional<std::uint64_t>&, const char*);
template Option Command::add_option(const char*, float&, const char*);
template Option Command::add_option(const char*, double&, const char*);

CommandLine::CommandLine(const char* help, const char* name)
    : Command(nullptr), owned_(std::make_unique<CLI::App>(help, name)) {
    app_ = owned_.get();
}

CommandLine::~CommandLine() = default;

std::string CommandLine::help() const { return owned_->help(); }

std::optional<int> CommandLine::parse(int argc, char** argv) {
    try {
        owned_->parse(argc, argv);
    } catch (const CLI::ParseError& error) {  // CLI11 reports usage and --help by exception
        return owned_->exit(error) == 0 ? 0 : 2;
    }
    return std::nullopt;
}

}  // namespace sluice
