// A restart in place: the process becomes the program anew and keeps its listening sockets, so that
// nobody is refused meanwhile. What connects in between waits in their queues.
//
// The sockets go by systemd's protocol for socket activation (sd_listen_fds(3)): LISTEN_PID is the
// process, LISTEN_FDS how many, from descriptor 3 on. So a systemd socket unit works likewise.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <string>
#include <vector>

#include "engine/result.h"

namespace sluice {

// Listening sockets that this process was started with.
struct Inherited {
    std::vector<int> sockets;  // listening TCP sockets, closed at exec; the owner closes them
    bool restarted = false;    // by become_next(); false: by something else, or there are none
    int in_vain = 0;           // as become_next() was told
};

// Takes them out of the environment: a second call finds none. Before any thread starts. Errors:
// bad_config, where a descriptor is no listening stream socket.
Result<Inherited> take_inherited();

// Where a listening socket is bound. Errors: bad_config for what is none of TCP.
Result<boost::asio::ip::tcp::endpoint> bound_to(int socket);
// Those that listen there, each once; closes the others. Port 0: any.
std::vector<int> fitting(const std::vector<int>& sockets,
                         const boost::asio::ip::tcp::endpoint& wanted);
// Whether others may listen on its port, too (SO_REUSEPORT).
bool shares_port(int socket);

// The words by which this process was started, which start it anew: a program that was replaced
// since, or a link that leads elsewhere, is the new one's.
Result<std::vector<std::string>> own_command_line();
// Errors: bad_config, where no program is to be found by the first word.
Status can_start(const std::vector<std::string>& words);

// Becomes the program that `words` start, which inherits `sockets` and the standard streams.
// `in_vain`: the restarts in a row that did not bring the engine's device back. Returns only where
// that failed: then the process had better end.
Error become_next(const std::vector<std::string>& words, std::vector<int> sockets, int in_vain);

}  // namespace sluice
