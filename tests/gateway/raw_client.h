// A client for tests that sends the very bytes it is told and takes answers apart on its own.
// Blocking, one thread; every wait is bounded and its end fails the test.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace sluice::testing {

struct RawAnswer {
    int status = 0;                              // 0: the connection ended before a whole head
    std::map<std::string, std::string> headers;  // names lower-case
    std::string body;                            // chunks joined
    int chunks = 0;
    bool whole = false;  // the body ended as its framing says
};

class RawClient {
public:
    explicit RawClient(int port);
    ~RawClient();
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    bool send(std::string_view bytes);  // false: the peer closed
    RawAnswer answer(bool to_head = false);
    std::string chunk();     // the next chunk of a streamed answer; "" = the last
    bool closed();           // waits for the end; false when bytes come instead
    std::string read_all();  // up to the end of the connection
    void reset();            // closes with a TCP reset
    void shrink_receive_buffer();
    int handle() const { return handle_; }

private:
    bool fill();         // false at the end of the connection
    std::string line();  // without CR LF
    std::string take(std::size_t count);
    int handle_ = -1;
    std::string buffer_;
};

}  // namespace sluice::testing
