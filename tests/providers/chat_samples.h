// Requests and answers for the tests of the dialects: made up at random from a fixed seed, and
// written out as text so that two of them can be compared and the difference read.
#pragma once

#include <random>
#include <string>

#include "providers/chat.h"
#include "providers/upstream.h"

namespace sluice {

// The wire's own quirks only: nothing dropped, nothing renamed.
Upstream plain_upstream(const std::string& dialect);

class Samples {
public:
    explicit Samples(unsigned seed) : random_(seed) {}
    std::size_t below(std::size_t end) { return random_() % end; }
    bool flip() { return below(2) == 0; }
    std::string text();       // any Unicode, sometimes nothing but never ill-formed
    std::string some_text();  // not empty
    std::string name();       // [a-z_]+
    std::string json_object();
    Message message(Role role);
    ChatRequest request();
    Delta answer();  // a whole one

private:
    std::mt19937 random_;
};

std::string shown(const ChatRequest& request);
std::string shown(const Delta& delta);  // without the vendor's id and model

}  // namespace sluice
