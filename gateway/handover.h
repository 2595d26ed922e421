// A restart in place: the process becomes the program anew and keeps its listening sockets, so that
// nobody is refused meanwhile. What connects in between waits in their queues.
//
// The sockets go by systemd's protocol for socket activation (sd_listen_fds(3)): LISTEN_PID is the
// process, LISTEN_FDS how many, from descriptor 3 on. So a systemd socket unit works likewise.
#pragma once

#include <string>
#include <vector>

#include "engine/result.h"

namespace sluice {

// Listening sockets that this process was started with.
struct Inherited {
    std::vector<int> sockets;  // listening TCP sockets, closed at exec; the owner closes them
    bool restarted = false;    // by become_next(); false: by something else, or there are none
};

// Takes them out of the environment: a second call finds none. Before any thread starts. Errors:
// bad_config, where a descriptor is no listening stream socket.
Result<Inherited> take_inherited();

// How this process was started: what become_next() starts.
struct CommandLine {
    std::string program;  // the file, which may have been replaced since
    std::vector<std::string> words;
};
Result<CommandLine> own_command_line();

// Becomes the program at `command`, which inherits `sockets` and the standard streams and nothing
// else. Returns only where that failed: then the process had better end. Single thread.
Error become_next(const CommandLine& command, std::vector<int> sockets);

}  // namespace sluice
