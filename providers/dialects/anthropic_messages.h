// The Anthropic Messages wire, both sides. One file a direction:
//   anthropic_messages_request.cc, _blocks.cc   client's body -> ChatRequest
//   anthropic_messages_write.cc                 ChatRequest -> upstream's body
//   anthropic_messages_events.cc                upstream's answer -> Delta
//   anthropic_messages_answer.cc                Delta -> client's answer
// Source of the format: Anthropic's API reference, version 2023-06-01.
// What the wire has no word for is not sent: seed, logit_bias, logprobs, penalties, min_p,
// response_format (an Upstream of this dialect says json_schema: false), audio.
#pragma once

#include "providers/dialect.h"

namespace sluice {

class AnthropicMessages final : public Dialect {
public:
    std::string_view name() const override { return "anthropic_messages"; }

    Result<ChatRequest> read_request(std::string_view body) const override;
    std::unique_ptr<EventWriter> event_writer(const AnswerHead& head) const override;
    std::string write_answer(const AnswerHead& head, const Delta& answer,
                             const AnswerTail& tail) const override;
    std::string write_error(const Error& error, const std::string& request_id) const override;

    std::string write_request(const ChatRequest& request, const Upstream& upstream) const override;
    UpstreamHttp upstream_http(const Upstream& upstream) const override;
    std::unique_ptr<EventReader> event_reader(const Upstream& upstream) const override;
    Result<Delta> read_answer(std::string_view body, const Upstream& upstream) const override;
    Error read_error(int status, std::string_view body) const override;
};

}  // namespace sluice
