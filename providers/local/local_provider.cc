#include "providers/local/local_provider.h"

#include <algorithm>
#include <utility>

namespace sluice {

namespace {

Error unsupported(const std::string& what, std::string param) {
    return Error(Errc::unsupported_parameter, what, std::move(param));
}

bool mentions_thought(const std::string& chat_template) {
    return chat_template.find("<think>") != std::string::npos ||
           chat_template.find("</think>") != std::string::npos;
}

bool plain_text(const Message& message) {
    return std::all_of(message.parts.begin(), message.parts.end(),
                       [](const Part& part) { return part.kind == Part::Kind::text; });
}

// The part of a prompt that the template wrote after the last of the conversation.
std::string_view template_end(const jinja::Text& prompt) {
    const auto& runs = prompt.runs();
    if (runs.empty() || !runs.back().trusted) return {};
    const std::size_t from = runs.size() > 1 ? runs[runs.size() - 2].end : 0;
    return std::string_view(prompt.bytes()).substr(from);
}

// What a thought says when it has spent its budget: in the model's own manner, so that it goes on
// to answer.
constexpr std::string_view enough_said = "\n\nI have thought enough; here is my answer.\n";

// The budget of a thought that is asked for in words; -1 = none. The same words mean about as much
// elsewhere: a short thought, an ordinary one, as long a one as hard questions take.
int budget_of_effort(std::string_view effort, int tokens_max) {
    constexpr std::pair<std::string_view, int> budgets[] = {
        {"none", 0}, {"minimal", 256}, {"low", 1'024}, {"medium", 4'096}, {"high", 16'384}};
    for (const auto& [word, tokens] : budgets)
        if (effort == word) return std::min(tokens, tokens_max - tokens_max / 4);
    return -1;
}

std::string readable(std::string_view bytes) {
    std::string text;
    for (std::size_t at = 0; at < bytes.size();) {
        jinja::append_char(text, jinja::next_char(bytes, at));
    }
    return text;
}

LogprobEntry entry_of(const TokenLogprob& token) {
    LogprobEntry entry;
    entry.token = readable(token.bytes);
    entry.bytes = token.bytes;
    entry.logprob = static_cast<double>(token.logprob);
    return entry;
}

LogprobEntry entry_of(const ChosenLogprob& chosen) {
    LogprobEntry entry = entry_of(chosen.chosen);
    for (const TokenLogprob& token : chosen.top) entry.top.push_back(entry_of(token));
    return entry;
}

// The caller's word first, then the configuration's, the model's own, and what is known of its
// kind.
Sampling sampling_of(const ChatRequest& request, const LocalOptions& options,
                     const ModelInfo& model, bool thinks) {
    const auto as_float = [](const std::optional<double>& asked, double otherwise) {
        return static_cast<float>(asked.value_or(otherwise));
    };
    Sampling sampling;
    sampling.temperature =
        as_float(request.temperature,
                 options.temperature.value_or(model.temperature.value_or(thinks ? 0.6F : 1.0F)));
    sampling.top_p = as_float(request.top_p,
                              options.top_p.value_or(model.top_p.value_or(thinks ? 0.95F : 1.0F)));
    sampling.top_k = static_cast<int>(
        std::clamp<std::int64_t>(request.top_k.value_or(model.top_k.value_or(0)), -1, INT32_MAX));
    sampling.top_k = std::max(sampling.top_k, 0);  // -1 means off at other servers
    sampling.min_p = as_float(request.min_p, model.min_p.value_or(0.0F));
    sampling.presence_penalty = as_float(request.presence_penalty, 0);
    sampling.frequency_penalty = as_float(request.frequency_penalty, 0);
    sampling.repetition_penalty =
        as_float(request.repetition_penalty, model.repetition_penalty.value_or(1.0F));
    for (const auto& [token, bias] : request.logit_bias) {
        sampling.logit_bias.emplace_back(token, static_cast<float>(bias));
    }
    if (request.seed) sampling.seed = static_cast<std::uint64_t>(*request.seed);
    sampling.stop = request.stop;
    sampling.top_logprobs = request.logprobs ? request.top_logprobs : -1;
    return sampling;
}

// Whose prompts may begin with each other's pages. The length keeps ("ab", "c") and ("a", "bc")
// apart.
std::string cache_tenant_of(const Caller& caller, PrefixCache cache) {
    if (cache == PrefixCache::off || (caller.org.empty() && caller.team.empty())) return "";
    return std::to_string(caller.org.size()) + ":" + caller.org + caller.team;
}

}  // namespace

LocalProvider::LocalProvider(const Engine& engine, const LocalOptions& options,
                             std::shared_ptr<const ChatTemplate> chat_template)
    : engine_(engine),
      options_(options),
      template_(std::move(chat_template)),
      encoder_(engine.tokenizer()) {
    const Tokenizer& tokenizer = engine.tokenizer();
    thinks_ = (tokenizer.find("<think>") >= 0 && tokenizer.find("</think>") >= 0) ||
              mentions_thought(engine.model().chat_template);
    if (!thinks_) return;
    thinking_.begin = tokenizer.find("<think>");
    thinking_.end = tokenizer.find("</think>");
    if (thinking_.end < 0) return;
    thinking_.closing = tokenizer.encode(enough_said, false, false);
    thinking_.closing.push_back(thinking_.end);
    const std::vector<TokenId> after = tokenizer.encode("\n\n", false, false);
    thinking_.closing.insert(thinking_.closing.end(), after.begin(), after.end());
}

Result<std::unique_ptr<const LocalProvider>> LocalProvider::create(const Engine& engine,
                                                                   const LocalOptions& options) {
    const ModelInfo& model = engine.model();
    const Tokenizer& tokenizer = engine.tokenizer();
    std::shared_ptr<const ChatTemplate> chat_template;
    if (!model.chat_template.empty()) {
        const auto spelled = [&tokenizer](TokenId token) {
            return token < 0 ? std::string() : std::string(tokenizer.bytes_of(token, true));
        };
        auto parsed = ChatTemplate::parse(model.chat_template, spelled(tokenizer.bos()),
                                          spelled(tokenizer.eos()));
        if (!parsed) {
            return Error(Errc::bad_file, "model '" + model.name + "': " + parsed.error().message);
        }
        chat_template = *std::move(parsed);
    } else if (tokenizer.find("<|im_start|>") >= 0) {
        chat_template = ChatTemplate::chatml();
    } else {
        return Error(
            Errc::bad_file,
            "model '" + model.name +
                "' has no chat template (tokenizer.chat_template) "
                "and no <|im_start|> token, so it cannot serve conversations; use an instruct "
                "model");
    }
    return std::unique_ptr<const LocalProvider>(
        new LocalProvider(engine, options, std::move(chat_template)));
}

Status LocalProvider::check_supported(const ChatRequest& request) const {
    if (request.messages.empty()) {
        return Error(Errc::invalid_request, "'messages' must hold at least one message",
                     "messages");
    }
    for (const Message& message : request.messages) {
        if (!plain_text(message)) {
            return unsupported(
                "this model reads text only; a message has an image, audio or file "
                "part",
                "messages");
        }
    }
    if (!request.tools.empty() && request.tool_choice != "\"none\"") {
        return unsupported("the local tier does not call tools", "tools");
    }
    if (request.wants_json_schema()) {
        return unsupported("the local tier cannot force its answer into JSON", "response_format");
    }
    if (request.logprobs && (request.top_logprobs < 0 || request.top_logprobs > 20)) {
        return Error(Errc::invalid_request, "'top_logprobs' must be between 0 and 20",
                     "top_logprobs");
    }
    return Done();
}

Error LocalProvider::too_long(std::size_t prompt_tokens, const std::string& how_exact) const {
    return Error(Errc::context_length_exceeded,
                 "this model's maximum context length is " +
                     std::to_string(engine_.model().context_tokens) +
                     " tokens, but the messages are " + how_exact + std::to_string(prompt_tokens) +
                     " tokens; shorten the messages",
                 "messages");
}

Result<int> LocalProvider::room_for_answer(const ChatRequest& request,
                                           std::size_t prompt_tokens) const {
    const std::int64_t window = engine_.model().context_tokens;
    const auto prompt = static_cast<std::int64_t>(prompt_tokens);
    if (prompt >= window) return too_long(prompt_tokens, "");
    if (!request.max_tokens) {
        return static_cast<int>(
            std::min<std::int64_t>(window - prompt, std::max(options_.max_tokens_default, 1)));
    }
    if (*request.max_tokens < 1) {
        return Error(Errc::invalid_request, "'max_tokens' must be at least 1", "max_tokens");
    }
    if (*request.max_tokens > window - prompt) {
        return Error(Errc::context_length_exceeded,
                     "this model's maximum context length is " + std::to_string(window) +
                         " tokens, but " + std::to_string(prompt) + " in the messages and " +
                         std::to_string(*request.max_tokens) +
                         " asked for the completion are more; shorten the messages or ask for at "
                         "most " +
                         std::to_string(window - prompt),
                     "messages");
    }
    return static_cast<int>(*request.max_tokens);
}

Thinking LocalProvider::thinking_of(const ChatRequest& request, const LocalCall& call) const {
    Thinking thinking = thinking_;
    thinking.open = call.reasoning == ReasoningSplitter::Start::inside;
    if (thinking.end < 0) return thinking;
    thinking.budget = budget_of_effort(request.reasoning_effort, call.sampling.tokens_max);
    if (request.thinking_tokens_max)
        thinking.budget =
            static_cast<int>(std::clamp<std::int64_t>(*request.thinking_tokens_max, 0, INT32_MAX));
    if (thinking.budget == 0) {  // nothing was thought that could be enough
        const auto end = std::find(thinking.closing.begin(), thinking.closing.end(), thinking.end);
        thinking.closing.erase(thinking.closing.begin(), end);
    }
    return thinking;
}

Result<LocalCall> LocalProvider::prepare(const ChatRequest& request, const Caller& caller,
                                         std::int64_t now_unix_s) const {
    Status supported = check_supported(request);
    if (!supported) return std::move(supported).error();
    auto prompt = template_->render(request.messages, {}, true, now_unix_s);
    if (!prompt) return std::move(prompt).error();
    const std::size_t tokens_min = encoder_.tokens_min(prompt->size());
    if (static_cast<std::int64_t>(tokens_min) > engine_.model().context_tokens) {
        return too_long(tokens_min, "at least ");
    }
    LocalCall call;
    call.prompt = encoder_.encode(*prompt);
    auto room = room_for_answer(request, call.prompt.size());
    if (!room) return std::move(room).error();
    call.sampling = sampling_of(request, options_, engine_.model(), thinks_);
    call.sampling.tokens_max = *room;
    call.options.cache_tenant = cache_tenant_of(caller, options_.prefix_cache);
    call.options.priority = caller.priority;
    if (thinks_) {
        call.reasoning = opens_thought(template_end(*prompt)) ? ReasoningSplitter::Start::inside
                                                              : ReasoningSplitter::Start::detect;
        call.sampling.thinking = thinking_of(request, call);
        call.sampling.stop_on_loop = true;
    }
    return call;
}

std::int64_t LocalProvider::count(const ChatRequest& request, std::int64_t now_unix_s) const {
    auto prompt = template_->render(request.messages, {}, true, now_unix_s);
    if (!prompt) return 0;
    const auto at_least = static_cast<std::int64_t>(encoder_.tokens_min(prompt->size()));
    if (at_least > engine_.model().context_tokens) return at_least;
    return static_cast<std::int64_t>(encoder_.encode(*prompt).size());
}

Result<std::vector<TokenId>> LocalProvider::encode(const std::vector<Message>& messages,
                                                   std::int64_t now_unix_s) const {
    auto prompt = template_->render(messages, {}, true, now_unix_s);
    if (!prompt) return std::move(prompt).error();
    return encoder_.encode(*prompt);
}

PieceReader::PieceReader(const LocalProvider& provider, const LocalCall& call)
    : tokenizer_(provider.tokenizer()), splitter_(call.reasoning) {
    if (!provider.thinks()) return;
    const TokenId open = tokenizer_.find("<think>");
    const TokenId close = tokenizer_.find("</think>");
    if (open >= 0 && tokenizer_.is_special(open)) hidden_open_ = open;
    if (close >= 0 && tokenizer_.is_special(close)) hidden_close_ = close;
}

// The piece's text with the tags that the engine left out as control tokens put back.
std::string PieceReader::text_with_tags(const Piece& piece) const {
    std::string text = piece.text;
    if (hidden_open_ < 0 && hidden_close_ < 0) return text;
    std::size_t at = 0;
    for (const TokenId token : piece.tokens) {
        if (token == hidden_open_ || token == hidden_close_) {
            const std::string_view tag = tokenizer_.bytes_of(token, true);
            text.insert(std::min(at, text.size()), tag);
            at += tag.size();
        } else {
            at += tokenizer_.bytes_of(token).size();
        }
    }
    return text;
}

// How many of the piece's tokens begin before byte `bytes` of its text.
std::size_t PieceReader::tokens_before(const Piece& piece, std::size_t bytes) const {
    std::size_t at = 0;
    std::size_t tokens = 0;
    for (; tokens < piece.tokens.size() && at < bytes; ++tokens) {
        const TokenId token = piece.tokens[tokens];
        const bool tag = token == hidden_open_ || token == hidden_close_;
        at += tokenizer_.bytes_of(token, tag).size();
    }
    return tokens;
}

void PieceReader::count(std::size_t tokens, std::size_t thought) {
    usage_.out_reasoning += static_cast<std::int64_t>(thought);
    usage_.out_text += static_cast<std::int64_t>(tokens - thought);
}

Status PieceReader::read(const Piece& piece, Delta& delta) {
    usage_.in_uncached = piece.prompt_tokens - piece.cached_prompt_tokens;
    usage_.in_cache_read = piece.cached_prompt_tokens;
    ReasoningSplitter::Split split;
    const std::string text = text_with_tags(piece);
    const bool was_thinking = splitter_.thinking();
    const std::size_t thought_bytes = splitter_.push(text, split);
    if (piece.last) splitter_.finish(split);
    delta.text += split.text;
    delta.reasoning += split.reasoning;

    const std::size_t tokens = piece.tokens.size();
    std::vector<LogprobEntry> entries = std::exchange(undecided_logprobs_, {});
    for (const ChosenLogprob& chosen : piece.logprobs) entries.push_back(entry_of(chosen));
    if (splitter_.undecided()) {
        undecided_tokens_ += tokens;
        undecided_logprobs_ = std::move(entries);
    } else {
        const bool whole = splitter_.thinking() || (was_thinking && thought_bytes == text.size());
        const std::size_t here = whole ? tokens : tokens_before(piece, thought_bytes);
        const std::size_t before = thought_bytes > 0 ? undecided_tokens_ : 0;
        count(undecided_tokens_ + tokens, before + here);
        undecided_tokens_ = 0;
        // The logprobs of an answer are those of its content.
        const std::size_t skip = std::min(before + here, entries.size());
        delta.logprobs.insert(
            delta.logprobs.end(),
            std::make_move_iterator(entries.begin()) + static_cast<std::ptrdiff_t>(skip),
            std::make_move_iterator(entries.end()));
    }
    return piece.last ? read_end(piece, delta) : Status(Done());
}

Status PieceReader::read_end(const Piece& piece, Delta& delta) {
    usage_.out_text = std::max<std::int64_t>(piece.generated_tokens - usage_.out_reasoning, 0);
    switch (piece.finish) {
        case FinishReason::none:
        case FinishReason::stop:
            delta.finish = Finish::stop;
            break;
        case FinishReason::length:
        case FinishReason::loop:  // cut short: no dialect has a closer word
            delta.finish = Finish::length;
            break;
        case FinishReason::cancelled:
            return Error(Errc::cancelled, "the engine stopped");
        case FinishReason::failed:
            return Error(Errc::device_failed, "the local model failed: " + piece.error);
    }
    delta.last = true;
    delta.usage = usage_;
    return Done();
}

}  // namespace sluice
