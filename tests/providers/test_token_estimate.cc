// The estimate beside what the vocabulary of SmolLM2 makes of the same texts.
#include <catch2/catch.hpp>

#include "providers/token_estimate.h"

namespace sluice {
namespace {

struct Counted {
    const char* kind;
    std::int64_t tokens;  // by `sluice tokenize` with the starter model
    std::string_view text;
};

}  // namespace

TEST_CASE("the estimate is within 15 % of a vocabulary's own count for every kind of text",
          "[estimate]") {
    const Counted counted[] = {
        {"chat", 91,
         "Hi! I'm planning a trip to Italy in May with my parents, who are both in their seventi"
         "es and can't walk very far. Could you suggest a relaxed ten-day itinerary that include"
         "s Rome, Florence and maybe one smaller town? We like good food, art museums and garden"
         "s, but we'd rather not change hotels too often. Also, what's the easiest way to get fr"
         "om the airport to the city centre? Thanks a lot!"},
        {"prose", 119,
         "The committee met on Thursday afternoon to discuss the budget for next year. Although "
         "most members agreed that spending on the library should be increased, several were wor"
         "ried about the cost of repairing the roof of the town hall, which had been damaged in "
         "the storm. After a long debate they decided to ask two builders for an estimate before"
         " taking a decision. Please rewrite this paragraph in a friendlier tone and make it abo"
         "ut half as long, keeping the names of everybody who is mentioned. What do you think wo"
         "uld be the best way to explain to the citizens why their taxes have to rise again this"
         " year? "},
        {"java", 101,
         "public class OrderService {\n    private final OrderRepository orderRepository;\n    @"
         "Autowired\n    public OrderService(OrderRepository orderRepository) { this.orderReposi"
         "tory = orderRepository; }\n    public List<Order> findOrdersByCustomerId(long customer"
         "Id) {\n        return orderRepository.findAll().stream().filter(o -> o.getCustomerId()"
         " == customerId).collect(Collectors.toList());\n    }\n}\n"},
        {"sql", 120,
         "SELECT c.customer_id, c.first_name, SUM(o.total_amount) AS revenue FROM customers c LE"
         "FT JOIN orders o ON o.customer_id = c.customer_id WHERE o.created_at >= '2026-01-01' A"
         "ND o.status IN ('paid','shipped') GROUP BY c.customer_id, c.first_name HAVING SUM(o.to"
         "tal_amount) > 1000 ORDER BY revenue DESC LIMIT 50;\n"},
        {"digits", 400,
         "59417673850514943120062452821495625535285430019603767249912322761077335009862410865170"
         "22640795937185876826991059499657245803371295896583976413238134138473873891899161728881"
         "81768239712590630500937412619391525504135885709515859103453709710711422846294847005278"
         "70012996727639815583429903257597655059753037902246418459989208136915432145583586505578"
         "53352230767694291244498513919249575617524480243030673948"},
        {"hex", 359,
         "a4c123b1612dd272d1371c17149d439536b3216fdaeeb975729fae923d5a4fd12aabfe228f219e9cb0eb53"
         "f16947ccf25ec84d8dbc74254770f58904dba41ecccc3fc1626e53a13043b026c48bbf33feff9243a8f506"
         "b40928b5b7a767c76fb008f86bebb2737f6a6f0fb23c6f5da2cec255404e4fb440034d6608697a8d41bed4"
         "40e50454f31af3176813e02ea68ef786e4d3cea27d26934b484e73cf575dcad6ba2b0aee0ca92373288158"
         "4d8c4fa2815d2802827283e0ad84173581569969e58b081006f7e3df"},
        {"uuid", 559,
         "d618c0a3-cb81-ce10-3d7c-5e2f28c2c5f3\n5a58e0c1-376a-b8f3-67b8-a11c607c1966\nf559ea6b-9"
         "4ab-3543-4c18-79d8f370bdbc\n813c855c-3456-3a2e-dbbf-ace073e3a21b\n21859a18-f12c-b4db-f"
         "f77-989042c1278c\ne64d52a0-70ba-966a-fd6e-88df5e34f81d\n3f0a483a-6776-9bb3-829c-202136"
         "69265a\ndf54fa50-c02c-1f6f-ad87-176a8355ce73\n8ae75d3f-da13-4539-bc66-c3cac5910954\n62"
         "8368bb-0759-a853-b7dd-252391538a62\n4f8fdd84-03d7-63d2-b5f0-b1d5160684b7\n2d52f71f-c6b"
         "0-d9db-3b47-3035522f7dd3\na9a9e7cc-e42d-1be4-116d-e9f28fde9ebe\n5c8a19d2-ce20-8017-c22"
         "a-315c4c057b32\n10df8af2-b7fd-4faf-1683-49df39f6fa2d\n204a3970-d11b-b779-6623-5b1c4849"
         "02df\n6743ca59"},
        {"jsonmin", 284,
         "[{\"id\":869494,\"name\":\"Carol\",\"tags\":[\"new\",\"sale\"],\"price\":6.84},{\"id\""
         ":467808,\"name\":\"Bob\",\"tags\":[\"new\",\"sale\"],\"price\":1.18},{\"id\":697866,\""
         "name\":\"Alice\",\"tags\":[\"new\",\"sale\"],\"price\":20.79},{\"id\":379965,\"name\":"
         "\"Carol\",\"tags\":[\"new\",\"sale\"],\"price\":36.33},{\"id\":690794,\"name\":\"Carol"
         "\",\"tags\":[\"new\",\"sale\"],\"price\":86.32},{\"id\":686599,\"name\":\"Carol\",\"ta"
         "gs\":[\"new\",\"sale\"],\"price\":3.49},{\"id\":619574,\"name\":\"Carol\",\"tags\":[\""
         "new\",\"sale\"],\"price\":43.24},{\"id\":752329,\"name\":\"Alice\",\"tags\":[\"new\","
         "\"sale\"],\"price\":42.93},{\"id\":96821,\"name\":\"Alice\",\"tags\":[\"new\",\"sale\""
         "],\"price\":52.37},{\"id\":860265,\"name\":"},
        {"csv", 600,
         "86965,538.41,2026-07-17\n90413,776.37,2026-11-03\n84908,212.37,2026-05-25\n1787,714.30"
         ",2026-07-23\n15510,989.70,2026-03-20\n57409,614.27,2026-03-23\n97784,284.31,2026-07-08"
         "\n44793,257.13,2026-01-03\n90591,866.24,2026-11-09\n81040,964.31,2026-11-24\n77481,142"
         ".02,2026-02-20\n8904,694.92,2026-05-03\n8381,729.60,2026-09-01\n9628,361.50,2026-03-18"
         "\n14794,722.45,2026-11-17\n90118,877.79,2026-08-06\n13119,254.94,2026-07-14\n91328,689"
         ".52,2026-08-24\n12432,861.31,2026-08-11\n42296,832.29,2026-01-13\n29656,106.58,2026-04"
         "-26\n45974,670.72,2026-05-20\n1286,845.65,2026-02-03\n20715,782.44,2026-11-19\n40891,6"
         "61.22,2026-03-02\n18830"},
        {"ru", 380,
         "Искусственный интеллект — это область компьют"
         "ерных наук, которая занимается созданием машин"
         ", способных выполнять задачи, требующие челове"
         "ческого разума. Вчера днём мы с другом пошли гу"
         "лять в парк. Погода была очень хорошая, и у озер"
         "а много детей запускали воздушных змеев. Пожал"
         "уйста, переведите следующее письмо на английск"
         "ий язык и укажите три грамматические ошибки. По"
         " правилам компании каждый сотрудник может полу"
         "чить пятнадцать дней оплачиваемого отпуска в г"
         "од, но заявление нужно подать за две недели."},
        {"fr", 125,
         "L'intelligence artificielle est l'ensemble des théories et des techniques mises en œ"
         "uvre en vue de réaliser des machines capables de simuler l'intelligence humaine. Hier"
         " après-midi, je suis allé me promener au parc avec un ami. Il faisait très beau et,"
         " au bord du lac, beaucoup d'enfants faisaient voler des cerfs-volants. Veuillez tradui"
         "re la lettre suivante en anglais."},
    };
    for (const Counted& one : counted) {
        INFO(one.kind);
        CHECK(estimate_text_tokens(one.text) >= one.tokens * 85 / 100);
        CHECK(estimate_text_tokens(one.text) <= one.tokens * 115 / 100);
    }
}

TEST_CASE("Chinese and Japanese lie between small vocabularies and large ones", "[estimate]") {
    struct Text {
        std::int64_t characters;
        std::int64_t small;  // tokens of SmolLM2's vocabulary
        std::string_view text;
    };
    const Text texts[] = {{286, 496,
                           "人工智能是计算机科学的一个分支，它企图了解智能的实质，并"
                           "生产出一种新的能以人类智能相似的方式做出反应的智能机器。"
                           "该领域的研究包括机器人、语言识别、图像识别、自然语言处理"
                           "和专家系统等。人工智能从诞生以来，理论和技术日益成熟，应"
                           "用领域也不断扩大，可以设想，未来人工智能带来的科技产品，"
                           "将会是人类智慧的容器。请把下面这封信翻译成英文，并且指出"
                           "其中的三个语法错误。昨天下午我和朋友一起去公园散步，天气"
                           "很好，湖边有许多孩子在放风筝。我们坐在长椅上聊了很久，谈"
                           "到了大学时的生活、工作中的困难以及对将来的打算。公司规定"
                           "员工每年可以享受十五天带薪休假，但是必须提前两周向部门经"
                           "理提出申请。"},
                          {227, 399,
                           "人工知能とは、計算という概念とコンピュータという道具を用"
                           "いて知能を研究する計算機科学の一分野を指す語です。昨日の"
                           "午後、友達と一緒に公園へ散歩に行きました。天気がとても良"
                           "くて、湖のそばでたくさんの子供たちが凧を揚げていました。"
                           "次の手紙を英語に翻訳して、文法の間違いを三つ指摘してくだ"
                           "さい。会社の規定では、従業員は毎年十五日間の有給休暇を取"
                           "得できますが、二週間前までに部長に申請しなければなりませ"
                           "ん。データベースのインデックスを作成する方法を教えてくだ"
                           "さい。"}};
    for (const Text& one : texts) {
        CHECK(estimate_text_tokens(one.text) >= one.characters);
        CHECK(estimate_text_tokens(one.text) <= one.small * 3 / 4);
    }
}

TEST_CASE("a text of any length and any bytes is estimated, and adds up", "[estimate]") {
    CHECK(estimate_text_tokens("") == 0);
    CHECK(estimate_text_tokens("a") == 1);
    std::string digits, words;
    for (int i = 0; i < 300; ++i) {
        CHECK(estimate_text_tokens(digits) == i);  // across the steps of 64 bytes
        digits += '7';
        if (i % 10 == 0) words += "word ";
        CHECK(estimate_text_tokens(words) >= i / 10 + 1);
        CHECK(estimate_text_tokens(words) <= i / 10 + 2);  // a word over two steps
    }

    CHECK(estimate_text_tokens(std::string(10'000, 'a')) > 1'200);  // one word: 1,250
    for (int c = 0; c < 256; ++c)
        for (std::size_t length : {1, 63, 64, 65, 200}) {
            const std::string text(length, static_cast<char>(c));
            CHECK(estimate_text_tokens(text) >= 0);
            CHECK(estimate_text_tokens(text) <= static_cast<std::int64_t>(length) * 8);
        }
}

TEST_CASE("a request's estimate has its messages, calls and tools", "[estimate]") {
    ChatRequest request;
    request.messages.emplace_back().parts.emplace_back().text = "1234567890";
    CHECK(estimate_input_tokens(request) == 14);
    request.messages[0].parts.emplace_back().kind = Part::Kind::image;
    CHECK(estimate_input_tokens(request) == 1'014);
    request.tools.emplace_back().parameters = "12";
    CHECK(estimate_input_tokens(request) == 1'016);
}

}  // namespace sluice
