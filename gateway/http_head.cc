#include "gateway/http_head.h"

#include <array>
#include <cstdint>

#include "gateway/visible_ascii.h"

namespace sluice {
namespace {

// The characters of a name, each with its lower case; 0 for all others.
constexpr std::array<char, 256> make_token_chars() {
    std::array<char, 256> table{};
    for (char c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = c;
    for (char c = 'a'; c <= 'z'; ++c) table[static_cast<unsigned char>(c)] = c;
    for (char c = 'A'; c <= 'Z'; ++c)
        table[static_cast<unsigned char>(c)] = static_cast<char>(c + 32);
    for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = c;
    return table;
}
constexpr std::array<char, 256> token_chars = make_token_chars();

bool is_token_char(char c) { return token_chars[static_cast<unsigned char>(c)] != 0; }

bool is_token(std::string_view text) {
    for (char c : text)
        if (!is_token_char(c)) return false;
    return !text.empty();
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool same_word(std::string_view text, std::string_view lower_word) {
    if (text.size() != lower_word.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i)
        if (lower(text[i]) != lower_word[i]) return false;
    return true;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// Tab, space, visible ASCII and bytes over 0x7F: what a field value may hold.
bool is_field_text(std::string_view text) {
    if (is_visible_ascii(text)) return true;
    bool good = true;
    for (char c : text) {
        auto byte = static_cast<unsigned char>(c);
        good &= (byte >= 0x20 && byte != 0x7F) || byte == '\t';
    }
    return good;
}

Error bad(std::string message) { return Error(Errc::invalid_request, std::move(message)); }

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

Status decode_path(std::string_view raw, std::string& path) {
    path.clear();
    for (std::size_t i = 0; i < raw.size(); ++i) {
        if (raw[i] != '%') {
            path += raw[i];
            continue;
        }
        bool whole = raw.size() - i > 2;
        int high = whole ? hex_digit(raw[i + 1]) : -1;
        int low = whole ? hex_digit(raw[i + 2]) : -1;
        if (high < 0 || low < 0) return bad("the path has a '%' without two hex digits after it");
        int byte = high * 16 + low;
        if (byte < 0x20 || byte == 0x7F) return bad("the path holds an encoded control character");
        path += static_cast<char>(byte);
        i += 2;
    }
    return Done{};
}

Status read_target(std::string_view target, HttpRequest& request) {
    for (char c : target) {
        auto byte = static_cast<unsigned char>(c);
        if (byte <= 0x20 || byte == 0x7F)
            return bad("the request target holds a control character");
    }
    std::string_view scheme = target.substr(0, 7);
    if (same_word(scheme, "http://")) {  // absolute form: as sent to proxies
        std::size_t slash = target.find_first_of("/?", 7);
        target = slash == std::string_view::npos ? "/" : target.substr(slash);
    }
    bool whole_server = target == "*" && request.method == "OPTIONS";
    if (!whole_server && !target.starts_with('/'))
        return bad("the request target must be a path that starts with '/'");
    std::size_t question = target.find('?');
    request.query.assign(question == std::string_view::npos ? std::string_view()
                                                            : target.substr(question + 1));
    std::string_view raw = target.substr(0, question);
    if (raw.find('%') != std::string_view::npos) return decode_path(raw, request.path);
    request.path.assign(raw);
    return Done{};
}

Status read_request_line(std::string_view line, HttpRequest& request, RequestHead& facts) {
    std::size_t first = line.find(' ');
    std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
    if (second == std::string_view::npos || line.find(' ', second + 1) != std::string_view::npos)
        return bad("the request line must be 'METHOD /path HTTP/1.1'");
    std::string_view method = line.substr(0, first);
    std::string_view version = line.substr(second + 1);
    if (!is_token(method) || method.size() > 32) return bad("the request method is no HTTP method");
    if (version == "HTTP/1.0") {
        facts.http_1_0 = true;
        facts.keep_alive = false;
    } else if (version != "HTTP/1.1") {
        return bad("this server speaks HTTP/1.1 and HTTP/1.0 only, without TLS");
    }
    if (method == "CONNECT") return Error(Errc::method_not_allowed, "CONNECT is not served here");
    request.method.assign(method);
    return read_target(line.substr(first + 1, second - first - 1), request);
}

struct Seen {
    int hosts = 0;
    int lengths = 0;
    int encodings = 0;
    int credentials = 0;
};

Status read_length(std::string_view value, Seen& seen, RequestHead& facts) {
    if (++seen.lengths > 1) return bad("Content-Length is given twice; give it once");
    if (value.empty() || value.size() > 18) return bad("Content-Length must be a decimal number");
    std::size_t length = 0;
    for (char c : value) {
        if (c < '0' || c > '9') return bad("Content-Length must be a decimal number");
        length = length * 10 + static_cast<std::size_t>(c - '0');
    }
    facts.content_length = length;
    return Done{};
}

void read_connection(std::string_view value, bool& close, bool& keep) {
    while (!value.empty()) {
        std::size_t comma = value.find(',');
        std::string_view word = trimmed(value.substr(0, comma));
        close |= same_word(word, "close");
        keep |= same_word(word, "keep-alive");
        if (comma == std::string_view::npos) return;
        value.remove_prefix(comma + 1);
    }
}

// What one field means for framing. `name` is lower-case.
Status read_fact(std::string_view name, std::string_view value, Seen& seen, RequestHead& facts,
                 bool& close, bool& keep) {
    if (name == "host") {
        if (++seen.hosts > 1) return bad("the Host header is given twice; give it once");
    } else if (name == "content-length") {
        return read_length(value, seen, facts);
    } else if (name == "transfer-encoding") {
        ++seen.encodings;
        if (seen.encodings > 1 || !same_word(value, "chunked"))
            return bad("the only Transfer-Encoding understood here is 'chunked', once");
        facts.chunked = true;
    } else if (name == "connection") {
        read_connection(value, close, keep);
    } else if (name == "expect") {
        bool known = same_word(value, "100-continue");
        facts.expects_continue |= known;
        facts.bad_expectation |= !known;
    } else if (name == "authorization") {
        if (++seen.credentials > 1) return bad("Authorization is given twice; give it once");
    } else if (name == "x-forwarded-for" || name == "forwarded") {
        facts.forwarded = true;
    }
    return Done{};
}

Status read_field(std::string_view line, std::pair<std::string, std::string>& field) {
    if (line.front() == ' ' || line.front() == '\t')
        return bad("a header may not be folded over several lines");
    std::size_t colon = line.find(':');
    field.first.assign(line.substr(0, colon));
    bool named = colon != std::string_view::npos && colon > 0;
    for (char& c : field.first) {
        c = token_chars[static_cast<unsigned char>(c)];
        named &= c != 0;
    }
    if (!named)
        return bad("a header must be 'Name: value', with nothing between the name and the colon");
    std::string_view value = trimmed(line.substr(colon + 1));
    if (!is_field_text(value)) return bad("a header's value holds a control character");
    field.second.assign(value);
    return Done{};
}

Status check_together(const Seen& seen, RequestHead& facts, bool close, bool keep) {
    if (seen.encodings > 0 && seen.lengths > 0)
        return bad("Content-Length and Transfer-Encoding exclude each other; give one");
    if (facts.http_1_0 && facts.chunked)
        return bad("HTTP/1.0 has no Transfer-Encoding; give a Content-Length");
    if (!facts.http_1_0 && seen.hosts == 0) return bad("HTTP/1.1 needs a Host header");
    if (close) facts.keep_alive = false;
    if (!close && keep) facts.keep_alive = true;
    return Done{};
}

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
    for (const auto& [key, value] : headers)
        if (key == name) return value;
    return {};
}

Result<std::size_t> head_bytes(std::string_view bytes, std::size_t& scanned) {
    if (scanned == 0 && !bytes.empty() && bytes[0] != '\r' && !is_token_char(bytes[0]))
        return bad("these bytes are not HTTP; this port speaks plain HTTP/1.1, without TLS");
    while (scanned < bytes.size()) {
        std::size_t at = bytes.find('\n', scanned);
        if (at == std::string_view::npos) {
            scanned = bytes.size();
            break;
        }
        if (at == 0 || bytes[at - 1] != '\r') return bad("a line of the head must end in CR LF");
        if (at == 1 || (at >= 3 && bytes[at - 2] == '\n')) return at + 1;
        scanned = at + 1;
    }
    return std::size_t(0);
}

Result<RequestHead> read_head(std::string_view head, HttpRequest& request) {
    RequestHead facts;
    Seen seen;
    bool close = false;
    bool keep = false;
    std::size_t end = head.find("\r\n");
    auto line = read_request_line(head.substr(0, end), request, facts);
    if (!line) return line.error();
    head.remove_prefix(end + 2);
    std::size_t count = 0;  // entries are reused: their strings keep their memory
    while (head.size() > 2) {
        end = head.find("\r\n");
        if (count == headers_count_max)
            return Error(Errc::request_too_large,
                         "more than " + std::to_string(headers_count_max) + " headers");
        if (request.headers.size() == count) request.headers.emplace_back();
        auto& field = request.headers[count++];
        auto read = read_field(head.substr(0, end), field);
        if (!read) return read.error();
        auto fact = read_fact(field.first, field.second, seen, facts, close, keep);
        if (!fact) return fact.error();
        head.remove_prefix(end + 2);
    }
    request.headers.resize(count);
    auto together = check_together(seen, facts, close, keep);
    if (!together) return together.error();
    return facts;
}

}  // namespace sluice
