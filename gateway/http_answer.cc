#include "gateway/http_answer.h"

#include <charconv>
#include <ctime>

#include "gateway/visible_ascii.h"

namespace sluice {
namespace {

void append_number(std::string& out, std::size_t number, int base = 10) {
    char digits[24];
    auto end = std::to_chars(digits, digits + sizeof digits, number, base).ptr;
    out.append(digits, end);
}

void append_value(std::string& out, std::string_view value) {
    std::size_t begin = out.size();
    out += value;
    if (is_visible_ascii(value)) return;
    for (std::size_t i = begin; i < out.size(); ++i)
        if (static_cast<unsigned char>(out[i]) < 0x20 || out[i] == 0x7F) out[i] = ' ';
}

// "Date: ...\r\n", formatted once a second in each thread.
std::string_view date_line() {
    thread_local std::time_t at = 0;
    thread_local char line[64];
    thread_local std::size_t size = 0;
    std::time_t now = std::time(nullptr);
    if (now != at) {
        std::tm parts;
        gmtime_r(&now, &parts);
        size = std::strftime(line, sizeof line, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
        at = now;
    }
    return {line, size};
}

}  // namespace

std::string_view reason_phrase(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 204:
            return "No Content";
        case 304:
            return "Not Modified";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 402:
            return "Payment Required";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 413:
            return "Content Too Large";
        case 417:
            return "Expectation Failed";
        case 422:
            return "Unprocessable Content";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 502:
            return "Bad Gateway";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        case 529:
            return "Overloaded";
        default:
            return "Status";  // the phrase carries no meaning
    }
}

void append_answer_head(std::string& out, int status, std::string_view content_type,
                        const Headers& headers, std::string_view request_id,
                        const AnswerFraming& framing) {
    out += "HTTP/1.1 ";
    append_number(out, static_cast<std::size_t>(status));
    out += ' ';
    out += reason_phrase(status);
    out += "\r\n";
    out += date_line();
    if (!content_type.empty()) {
        out += "Content-Type: ";
        append_value(out, content_type);
        out += "\r\n";
    }
    if (framing.content_length) {
        out += "Content-Length: ";
        append_number(out, *framing.content_length);
        out += "\r\n";
    } else if (framing.chunked) {
        out += "Transfer-Encoding: chunked\r\n";
    }
    if (framing.close) {
        out += "Connection: close\r\n";
    } else if (framing.keep_alive) {
        out += "Connection: keep-alive\r\n";
    }
    if (!request_id.empty()) {
        out += "x-request-id: ";
        append_value(out, request_id);
        out += "\r\n";
    }
    for (const auto& [name, value] : headers) {
        out += name;
        out += ": ";
        append_value(out, value);
        out += "\r\n";
    }
    out += "\r\n";
}

}  // namespace sluice
