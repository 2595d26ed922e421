"""Small templates, each for one construct. Rendered over VARIABLES by make_golden.py. A snippet that
jinja2 refuses must be refused by the interpreter too, at parsing or at rendering."""

VARIABLES = {
    "name": "World",
    "empty": "",
    "text": "  Grüße, “Welt”! 🎉\n second line\t",
    "csv": "a,b,,c",
    "words": " one  two\tthree\n",
    "n": 7,
    "neg": -3,
    "pi": 3.25,
    "big": 1e20,
    "small": 0.00001,
    "yes": True,
    "no": False,
    "nil": None,
    "list": [3, 1, 2],
    "names": ["b", "A", "c", "a"],
    "nested": [[1, 2], [3, [4, 5]]],
    "map": {"b": 1, "a": "x", "items": "shadow", "c": [True, None]},
    "people": [
        {"name": "Ann", "age": 30, "role": "admin", "tags": ["x"]},
        {"name": "Bob", "age": 25, "role": "user"},
        {"name": "Cy", "age": 35, "role": "user", "boss": {"name": "Ann"}},
    ],
    "messages": [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "U1"},
        {"role": "assistant", "content": "A1"},
        {"role": "user", "content": "U2"},
    ],
}

SNIPPETS = [
    # printing
    "{{ name }}", "{{name}}!", "{{ missing }}|", "{{ n }} {{ neg }} {{ pi }} {{ yes }} {{ nil }}",
    "{{ big }} {{ small }} {{ 1.0 }} {{ 1e16 }} {{ 123456789.125 }} {{ 0.1 + 0.2 }} {{ 1e-4 }}",
    "{{ list }} {{ nested }} {{ map }}", "{{ names }}", "{{ [\"it's\", 'say \"x\"', '\\n'] }}",
    "{{ 'a' 'b' \"c\" }}", "{{ 'tab\\tnl\\nq\\'q\\\\' }}", "{{ '\\x41\\u00e9\\U0001F389\\101' }}",
    "{{ '\\d\\w' }}", "{{ \"a\\\nb\" }}", "{{ 1_000 }} {{ 1_0.5_0 }}", "{{ [1, 2] }}x",
    "{{ {} }} {{ [] }} {{ {'a': 1, 'b': [2]} }}", "{{ {'a': 1, 'a': 2} }}", "{{ {'a': {'b': {'c': 1}}}.a.b.c }}",
    "{{ true }} {{ True }} {{ none }} {{ None }} {{ false }}",
    # arithmetic and precedence
    "{{ 1 + 2 * 3 - 4 / 2 }}", "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }}",
    "{{ 2 ** 10 }} {{ 2 ** -1 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }}", "{{ 7.5 // 2 }} {{ 7.5 % 2 }} {{ -7.5 % 2 }}",
    "{{ (1 + 2) * 3 }}", "{{ +n }} {{ -n }} {{ - -n }}", "{{ true + 1 }}", "{{ 'ab' * 3 }} {{ 2 * 'x' }}", "{{ 'a' * -1 }}|",
    "{{ 'a' + 'b' ~ 1 ~ none ~ true }}", "{{ 1 ~ 2 + 3 }}", "{{ [1] + [2, 3] }}", "{{ 1 / 0 }}", "{{ 1 % 0 }}",
    "{{ 'a' + 1 }}", "{{ missing + 'a' }}", "{{ none + 'a' }}", "{{ 9007199254740993 }}",
    "{{ n + 1 | abs }} {{ (neg) | abs }} {{ -3 | abs }}",
    # comparison, logic
    "{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 1 == 1.0 }} {{ 1 == true }} {{ 'a' == 'a' }} {{ 'a' != 'b' }}",
    "{{ 'a' < 'b' }} {{ 'Z' < 'a' }} {{ 2 >= 2 }} {{ 3 <= 2 }}", "{{ 'a' < 1 }}", "{{ none == none }} {{ none != 0 }} {{ missing == nil }}",
    "{{ missing == absent }}", "{{ [1, [2]] == [1, [2]] }} {{ {'a': 1} == {'a': 1} }} {{ [1] == [1, 2] }}",
    "{{ 'x' or 'y' }} {{ '' or 'y' }} {{ 'x' and 'y' }} {{ '' and 'y' }}|", "{{ not yes }} {{ not '' }} {{ not not 1 }}",
    "{{ not yes == no }}", "{{ yes and not no or no }}", "{{ 0 or none or [] or {} or 'z' }}",
    "{{ 'b' in 'abc' }} {{ 'z' not in 'abc' }} {{ 2 in list }} {{ 'a' in map }} {{ 9 not in list }}",
    "{{ not 'z' in 'abc' }}", "{{ 'a' in missing }}", "{{ 1 in 'abc' }}", "{{ 'a' in 5 }}", "{{ '' in 'abc' }}",
    "{{ 'yes' if n > 5 else 'no' }} {{ 'yes' if n > 50 }}|", "{{ 1 if no else 2 if no else 3 }}", "{{ (1 if yes) + 1 }}",
    # attributes, items, slices
    "{{ map.a }} {{ map['a'] }} {{ map['items'] }} {{ map.zzz }}|", "{{ map.get('a') }} {{ map.get('q') }} {{ map.get('q', 5) }}",
    "{{ map.keys() | list }} {{ map.values() | list }}", "{{ people[0].name }} {{ people[-1]['boss'].name }} {{ people[9] }}|",
    "{{ people[9].name }}", "{{ missing.attr }}", "{{ missing['attr'] }}", "{{ nil.attr }}|", "{{ n.attr }}|", "{{ name.attr }}|",
    "{{ text[2] }} {{ text[-1] | length }} {{ name[99] }}|", "{{ list.0 }} {{ list[1] }}",
    "{{ list[1:] }} {{ list[:1] }} {{ list[:] }} {{ list[::-1] }} {{ list[-2:] }} {{ list[::2] }} {{ list[5:] }}",
    "{{ name[1:3] }} {{ name[::-1] }} {{ name[-3:] }} {{ name[:-1] }} {{ name[3:1] }}|", "{{ 'äöü🎉x'[1:4] }} {{ 'äöü🎉x'[3] }}",
    "{{ list[-9:2] }} {{ list[2:-9:-1] }} {{ list[none:2] }}", "{{ list[::0] }}", "{{ map[1:2] }}", "{{ list['a'] }}|",
    "{{ name['upper']() }}", "{{ loop }}|", "{{ list[true] }}",
    # string methods
    "{{ csv.split(',') }} {{ csv.split(',', 1) }} {{ words.split() }} {{ words.split(none, 1) }}", "{{ csv.split('') }}",
    "{{ 'a</think>b</think>c'.split('</think>')[-1] }}", "{{ csv.rsplit(',', 1) }}", "{{ 'abc'.split('x') }} {{ ''.split(',') }} {{ ''.split() }}",
    "{{ text.strip() }}|{{ text.lstrip() }}|{{ text.rstrip() }}|", "{{ 'xxaxx'.strip('x') }} {{ 'xyaxy'.lstrip('yx') }} {{ 'axy'.rstrip('xy') }}",
    "{{ '\u00a0 a\u3000'.strip() }}|", "{{ name.startswith('Wo') }} {{ name.endswith('x') }} {{ name.startswith('') }}",
    "{{ 'aXbX'.replace('X', '--') }} {{ 'aXbX'.replace('X', '', 1) }} {{ 'ab'.replace('', '-') }}",
    "{{ name.upper() }} {{ name.lower() }} {{ 'heLLo wORld'.title() }} {{ 'heLLo'.capitalize() }}",
    "{{ 'abcabc'.find('c') }} {{ 'abcabc'.rfind('c') }} {{ 'abc'.find('z') }} {{ 'äb'.find('b') }} {{ 'aaa'.count('a') }}",
    "{{ ', '.join(names) }}", "{{ '-'.join([1]) }}", "{{ 'a\nb\n'.splitlines() }}", "{{ 'pre_x'.removeprefix('pre_') }} {{ 'x_suf'.removesuffix('_suf') }}",
    "{{ '12'.isdigit() }} {{ 'a1'.isdigit() }}", "{{ name.nosuch() }}", "{{ list.append(4) }}", "{{ nil() }}", "{{ missing() }}", "{{ name() }}",
    # filters
    "{{ text | trim }}|", "{{ '--a--' | trim('-') }}", "{{ nil | trim }} {{ 5 | trim }}", "{{ name | upper }} {{ name | lower }} {{ 'ab cd' | title }} {{ 'ABC' | capitalize }}",
    "{{ list | length }} {{ text | length }} {{ map | count }} {{ missing | length }}", "{{ 5 | length }}", "{{ nil | length }}",
    "{{ names | join }} {{ names | join(', ') }} {{ list | join('-') }} {{ people | join(', ', attribute='name') }}", "{{ [none, true, 1.5] | join('|') }}", "{{ missing | join(',') }}|",
    "{{ missing | default('d') }} {{ '' | default('d') }}| {{ '' | default('d', true) }} {{ nil | default('d') }} {{ missing | d }}| {{ none | d('x', boolean=true) }}",
    "{{ 'aXb' | replace('X', 'y') }} {{ 'aaa' | replace('a', 'b', 2) }}", "{{ list | first }} {{ list | last }} {{ 'xyz' | first }} {{ [] | first }}|", "{% for e in map | items %}{{ e[0] }}{{ e | length }} {% endfor %}", "{{ missing | items | list }}",
    "{% for k, v in map | dictsort %}{{ k }}={{ v }} {% endfor %}", "{{ list | sort }} {{ list | sort(reverse=true) }} {{ names | sort }} {{ names | sort(case_sensitive=true) }}", "{{ people | sort(attribute='age') | map(attribute='name') | list }}",
    "{{ ['a', 1] | sort }}", "{{ list | reverse | list }} {{ 'abc' | reverse }}", "{{ [1, 2, 1, 3] | unique | list }}", "{{ list | sum }} {{ people | sum(attribute='age') }}", "{{ list | min }} {{ list | max }} {{ [] | max }}|",
    "{{ people | map(attribute='name') | list }} {{ people | map(attribute='boss.name') | list | length }}", "{{ names | map('upper') | list }} {{ people | map(attribute='tags', default=[]) | list }}",
    "{{ people | selectattr('role', 'equalto', 'user') | map(attribute='name') | list }}", "{{ people | rejectattr('role', 'eq', 'user') | map(attribute='name') | list }}",
    "{{ people | selectattr('boss') | map(attribute='name') | list }} {{ people | selectattr('boss', 'defined') | list | length }} {{ people | selectattr('age', 'gt', 26) | map(attribute='name') | list }}",
    "{{ [0, 1, '', 'x', none] | select | list }} {{ [1, 2, 3] | select('odd') | list }} {{ [1, 2, 3] | reject('odd') | list }}", "{{ names | select('in', ['a', 'b']) | list }}",
    "{{ '5' | int }} {{ 'x' | int }} {{ 'x' | int(3) }} {{ 3.9 | int }} {{ ' 42 ' | int }} {{ '1.5' | int }} {{ '1.5' | float }} {{ 'x' | float }}", "{{ neg | abs }} {{ -1.5 | abs }}",
    "{{ 5 | string ~ 'x' }} {{ [1] | string }} {{ 'abc' | list }}", "{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(1, blank=true) }}", "{{ '<b>' | safe }}",
    "{{ map | tojson }}", "{{ people | tojson(indent=2) }}", "{{ 'é\"\\\n<>&\u2028' | tojson }}", "{{ [1.0, 1e20, 0.1, none, true, [], {}] | tojson }}", "{{ {} | tojson(indent=4) }} {{ [] | tojson(indent=4) }}", "{{ missing | tojson }}", "{{ name | tojson | length }}",
    "{{ name | nosuchfilter }}", "{{ name is nosuchtest }}", "{{ name | upper | lower | capitalize }}", "{{ (name | upper)[0] }}", "{{ name | upper[0] }}",
    # tests
    "{{ name is defined }} {{ missing is defined }} {{ missing is undefined }} {{ missing is not defined }} {{ not name is defined }}", "{{ nil is none }} {{ n is none }} {{ n is not none }}",
    "{{ name is string }} {{ n is string }} {{ map is mapping }} {{ list is mapping }} {{ list is sequence }} {{ name is sequence }} {{ map is sequence }} {{ n is sequence }}", "{{ list is iterable }} {{ n is iterable }} {{ nil is iterable }} {{ missing is iterable }}",
    "{{ n is number }} {{ pi is number }} {{ yes is number }} {{ name is number }} {{ n is integer }} {{ yes is integer }} {{ pi is float }} {{ n is float }} {{ yes is boolean }} {{ n is boolean }}",
    "{{ yes is true }} {{ n is true }} {{ no is false }} {{ nil is false }}", "{{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(4) }}", "{{ n is eq 7 }} {{ n is equalto(8) }} {{ n is ne 7 }} {{ n is gt 6 }} {{ n is lt(7) }} {{ n is ge 7 }} {{ n is le 6 }}", "{{ 'a' is in ['a'] }} {{ 'z' is in 'abc' }} {{ n is sameas n }}",
    "{{ 'abc' is lower }} {{ 'ABC' is upper }} {{ 'aB' is lower }}", "{{ namespace is callable }} {{ name is callable }}", "{{ name is defined and n is number or no }}", "{{ (missing is defined) ~ 'x' }}", "{{ 5 is divisibleby 0 }}",
    # if
    "{% if n > 5 %}a{% elif n > 3 %}b{% else %}c{% endif %}", "{% if no %}a{% elif no %}b{% endif %}|", "{% if missing %}a{% else %}b{% endif %}", "{% if list %}full{% endif %}{% if not [] %}empty{% endif %}", "{% if a %}", "{% endif %}", "{% if %}x{% endif %}", "{% if yes %}{% else %}{% else %}{% endif %}",
    # for
    "{% for x in list %}{{ x }},{% endfor %}", "{% for x in [] %}{{ x }}{% else %}none{% endfor %}", "{% for x in missing %}x{% else %}none{% endfor %}", "{% for x in nil %}x{% endfor %}", "{% for x in 5 %}x{% endfor %}",
    "{% for k in map %}{{ k }} {% endfor %}", "{% for k, v in map.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in map | items %}{{ k }}={{ v }};{% endfor %}", "{% for c in 'añ🎉' %}[{{ c }}]{% endfor %}", "{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }} {% endfor %}", "{% for a, b in [[1], [2]] %}{{ a }}{% endfor %}",
    "{% for x in list if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}", "{% for x in list if x > 9 %}{{ x }}{% else %}no{% endfor %}", "{% for x in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}",
    "{% for x in list %}{{ loop.previtem }}<{{ x }}<{{ loop.nextitem }};{% endfor %}", "{% for x in list %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}", "{% for x in list %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in [1, 1, 2] %}{{ loop.changed(x) }} {% endfor %}",
    "{% for x in list %}{% for y in names %}{{ loop.depth }}{% endfor %}{{ loop.index }}{% endfor %}", "{% for x in range(3) %}{{ x }}{% endfor %} {{ range(2, 8, 3) | list }} {{ range(3, 0, -1) | list }}", "{{ range(1000000) | length }}", "{{ range(0, 5, 0) }}",
    "{% for x in list %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in list %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in range(4) %}{% for y in range(4) %}{% if y == 2 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}", "{% break %}",
    "{% for x in list %}{{ x }}{% endfor %}{{ x }}|", "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}", "{% for message in messages[1:] %}{{ message.role }}{{ loop.index0 }}{% endfor %}", "{% for m in messages | reverse %}{{ m.content }}{% endfor %}", "{% for m in messages if m.role == 'user' %}{{ m.content }}{{ ',' if not loop.last }}{% endfor %}",
    "{% for x in list", "{% for x on list %}{% endfor %}", "{% for in list %}{% endfor %}",
    # set, scopes, namespaces
    "{% set x = 5 %}{{ x }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set x = 1 %}{% if yes %}{% set x = 2 %}{% endif %}{{ x }}", "{% set x = 1 %}{% for i in list %}{% set x = i %}{{ x }}{% endfor %}{{ x }}", "{% set x = 1 %}{% for i in list %}{{ x }}{% set x = i %}{% endfor %}",
    "{% set ns = namespace(a=1, b='x') %}{% for i in list %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}|", "{% set ns = namespace() %}{% set ns.x = [1] %}{{ ns.x }}", "{% set map.x = 1 %}", "{% set q.x = 1 %}", "{% set x %}a{{ n }}b{% endset %}[{{ x }}]", "{% set name = name + '!' %}{{ name }}", "{% set messages = messages[1:] %}{{ messages[0].role }}",
    "{% set x = 'a' if no else 'b' %}{{ x }}", "{% set x = missing %}{{ x is defined }}", "{% set d = dict(a=1, b=2) %}{{ d.a }}{{ d }}", "{% set true = 1 %}", "{% set x %}", "{% set x = %}",
    "{% set ns = namespace(found=false) %}{% for m in messages %}{% if m.role == 'user' and not ns.found %}{% set ns.found = true %}{{ loop.index }}{% endif %}{% endfor %}",
    # macros
    "{% macro m(a, b=2) %}<{{ a }}-{{ b }}>{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=4, a=5) }}{{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(c=2) }}", "{% set g = 1 %}{% macro m() %}{{ g }}{{ n }}{% endmacro %}{% set g = 2 %}{{ m() }}", "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
    "{% macro m(x) -%}\n  {{ x }}\n{%- endmacro %}[{{ m('a') }}]{{ m('b') | upper }}", "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m() %}{% set x = 9 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}|", "{% macro m(a=1, b) %}{% endmacro %}",
    # functions
    "{{ raise_exception('boom') }}", "{{ strftime_now('%d %b %Y') }}", "{{ strftime_now('%Y-%m-%d %H:%M') }}", "{{ nosuch('x') }}",
    # white space control
    "a\n{% if yes %}\nb\n{% endif %}\nc", "a\n  {% if yes %}\n  b\n  {% endif %}\nc", "a  {% if yes %}  b  {% endif %}  c", "a \n {%- if yes -%} \n b \n {%- endif -%} \n c", "  {{ name }}  \n  {{ name }}", "a {{- name -}} b", "a\n\n{{- name -}}\n\nb", "x {#- c -#} y", "x\n  {# c #}\n  y", "a{# multi\nline #}\nb", "{%+ if yes %}x{% endif %}", "  {%+ if yes %}x{% endif %}", "{% if yes +%}\nx{% endif %}", "a\n", "a\n\n", "\na", "a\r\nb\rc\r\n", "{% if yes %}\r\nx\r\n{% endif %}\r\n", "   {% for x in list %}\n   {{ x }}\n   {% endfor %}\n", "{% for x in list %}\n\n{{ x }}\n\n{% endfor %}", "a{% if yes %} {% endif %}b", "\t{% if yes %}\tx\t{% endif %}\t",
    "{% if yes %}\n    {%- for x in list %}\n        {{- x }}\n    {%- endfor %}\n{% endif %}\nend", "{{ name }}\n{{ name }}\n", "{{- name }}\n{{ name -}}\n", "a   \n   {#- note #}\n   b",
    # raw, comments, generation
    "{% raw %}{{ x }}{% if %}{% endraw %}", "{%- raw -%}  {{ x }}  {%- endraw -%}  y", "{% raw %}a", "a\n{% raw %}\nb\n{% endraw %}\nc", "{# {{ x }} {% if %} #}ok", "{# unclosed", "{{ 'a' }}{# #}{{ 'b' }}",
    # faults
    "{{ }}", "{{ 1 + }}", "{{ (1 }}", "{{ 1) }}", "{{ 'abc }}", "{{ a b }}", "{% unknown %}", "{% include 'x' %}", "{{ name | }}", "{{ name. }}", "{{ [1, 2 }}", "{{ {'a' 1} }}", "{{ name", "{% if yes %}x", "{{ $x }}", "{{ a ? b : c }}", "{{ 1 if }}", "{{ x is }}", "{% for x in list %}{% endif %}", "{{ 1..2 }}", "{{ \"a\" \"b\"x }}", "{{ a = 1 }}", "{{ not }}", "{{ *a }}", "{{ f(a=1, 2) }}", "{{ {{ }} }}",
    # text that looks like a tag
    "{ {x} } {a}", "100% {", "{", "}}", "%}", "a #} b", "{ % if % }", "{{ {'a': {'b': 1}} }}", "{{ '}}' }}", "{{ '%}' ~ '{%' }}", "{% if '%}' %}x{% endif %}",
]
