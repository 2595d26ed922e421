#include <catch2/catch.hpp>

#include "gateway/eval/code_run.h"
#include "gateway/eval/sandbox.h"

using namespace sluice;

namespace {

// Containers often forbid name spaces: then nothing runs, which is what is to be checked there.
bool can_run() {
    Status can = code_can_run();
    if (!can) {
        CHECK(can.error().message.find("does not allow to run it apart") != std::string::npos);
        WARN("skipped: " << can.error().message);
    }
    return can.has_value();
}

SandboxOutcome shell(const std::string& script, int timeout_ms = 10'000) {
    SandboxJob job;
    job.command = {"sh", "main.sh"};
    job.file = "main.sh";
    job.content = script;
    job.timeout_ms = timeout_ms;
    auto ran = run_apart(job);
    INFO((ran ? "" : ran.error().message));
    REQUIRE(ran);
    return *ran;
}

}  // namespace

TEST_CASE("code apart has its input, its exit status and its output", "[sandbox]") {
    if (!can_run()) return;
    SandboxJob job;
    job.command = {"sh", "-c", "cat; echo err >&2; exit 3"};
    job.input = std::string(200'000, 'x');
    auto much = run_apart(job);
    REQUIRE(much);
    CHECK(much->too_much_output);
    job.input = "hello ";
    auto ran = run_apart(job);
    REQUIRE(ran);
    CHECK(ran->output == "hello err\n");
    CHECK(ran->exit_status == 3);
    job.command = {"no-such-program"};
    auto none = run_apart(job);
    REQUIRE_FALSE(none);
    CHECK(none.error().message.find("no-such-program: starting the program") != std::string::npos);
}

TEST_CASE("code apart sees no file, environment, process or network of ours", "[sandbox]") {
    if (!can_run()) return;
    setenv("SLUICE_TEST_SECRET", "s3cret", 1);
    auto ran = shell(
        "env; ls /; ls /home /root /etc /proc /tmp 2>&1; id -u; echo pid $$;"
        "echo x > /usr/x || echo read-only; mount -o remount,rw /usr 2>&1 || echo kept;"
        "cat /dev/tcp 2>&1");
    CHECK(ran.output.find("s3cret") == std::string::npos);
    CHECK(ran.output.find("read-only") != std::string::npos);
    CHECK(ran.output.find("kept") != std::string::npos);
    CHECK(ran.output.find("pid 1\n") != std::string::npos);
    CHECK(ran.output.find("65534") != std::string::npos);
    for (const char* hidden : {"/home", "/root", "/etc", "/proc", "/tmp"})
        CHECK(ran.output.find(std::string("cannot access '") + hidden) != std::string::npos);
}

TEST_CASE("code apart that is slow, forks or fills memory is ended", "[sandbox]") {
    if (!can_run()) return;
    auto slow = shell("sleep 60 & while :; do :; done", 300);
    CHECK(slow.timed_out);
    CHECK(slow.signal != 0);
    auto forks = shell(
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 "
        "26 27 28 29 30 31 32 33 34 35 36 37 38 39 40; do sleep 5 & done; wait",
        400);
    CHECK((forks.timed_out || forks.exit_status != 0));
    auto disk = shell("head -c 100000000 /dev/urandom > big; echo $?");
    CHECK(disk.output.find("0\n") != 0);
    auto gone = shell("echo before; kill -9 $$; echo after");
    CHECK(gone.output.find("before") == 0);
}

TEST_CASE("code is right when its tests pass and it prints what it should", "[sandbox]") {
    if (!can_run()) return;
    CodeScorer scorer;
    scorer.command = {"sh", "main.sh"};
    scorer.file = "main.sh";
    scorer.append = "[ \"$(double 21)\" = 42 ] || { echo wrong double; exit 1; }\n";
    auto right = score_code(scorer, "Here:\n```sh\ndouble() { echo $(($1 * 2)); }\n```\n");
    REQUIRE(right);
    CHECK(right->value == 1);
    auto wrong = score_code(scorer, "```sh\ndouble() { echo $(($1 + 2)); }\n```");
    REQUIRE(wrong);
    CHECK(wrong->value == 0);
    CHECK(wrong->why == "exit status 1: wrong double");
    scorer.append.clear();
    scorer.output = "hi";
    CHECK(score_code(scorer, "echo hi")->value == 1);
    CHECK(score_code(scorer, "echo ho")->why == "printed something else: ho");
}
