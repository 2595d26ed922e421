// The OpenAI chat completions wire, both sides. One file a direction:
//   openai_chat_request.cc, openai_chat_messages.cc   client's body -> ChatRequest
//   openai_chat_write.cc                              ChatRequest -> upstream's body
//   openai_chat_events.cc                             upstream's answer -> Delta
//   openai_chat_answer.cc                             Delta -> client's answer
// Source of the format: OpenAI's API reference and recorded answers; DeepSeek's, Together's, vLLM's
// and SGLang's departures from it are read where they are harmless.
#pragma once

#include "providers/dialect.h"

namespace sluice {

class OpenAiChat final : public Dialect {
public:
    std::string_view name() const override { return "openai_chat"; }

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
