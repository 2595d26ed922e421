// A command line of commands and options. The parser is CLI11, a header of nine seconds' compiling:
// command_line.cc alone includes it.
//
// A Command or Option only refers to what its CommandLine owns. A name such as "--json" is an
// option's, "FILE" the place's of a positional one, "--data,data" both.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace sluice {

class Option {
public:
    Option& required();
    Option& type_name(const char* name);  // in the help, instead of the type's own
    Option& delimiter(char between);      // of several values in one argument
    Option& capture_default_str();        // the help shows the value that the variable has now
    Option& needs(const Option& other);
    Option& positive();
    Option& one_of(std::vector<std::string> values);
    template <class T>  // int, std::int64_t or double
    Option& in_range(T lowest, T highest);

private:
    friend class Command;
    explicit Option(CLI::Option* option) : option_(option) {}
    CLI::Option* option_;
};

class Command {
public:
    Command add_subcommand(const char* name, const char* help);
    void require_subcommand();  // without one, what it can do is printed
    // Parsing writes to `value`, which lives as long as the CommandLine; where the option is not
    // given it stays as it is. T is one of those at the end of command_line.cc.
    template <class T>
    Option add_option(const char* names, T& value, const char* help);
    Option add_flag(const char* names, bool& value, const char* help);
    void footer(const char* text);
    void callback(std::function<void()> run);  // called once all is parsed

protected:
    explicit Command(CLI::App* app) : app_(app) {}
    CLI::App* app_;
};

class CommandLine final : public Command {
public:
    CommandLine(const char* help, const char* name);
    ~CommandLine();
    CommandLine(const CommandLine&) = delete;
    CommandLine& operator=(const CommandLine&) = delete;

    std::string help() const;
    // Parses and runs the callbacks. Where that was all, having printed help or what is wrong with
    // the usage: the exit status.
    std::optional<int> parse(int argc, char** argv);

private:
    std::unique_ptr<CLI::App> owned_;
};

}  // namespace sluice
