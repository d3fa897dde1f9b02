"""A literal has the same meaning in Rust as the value has in Python, according to the compiler."""

import math
import struct
import subprocess

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from papermill_rust.literals import FLOATS, INTEGERS, LiteralError, Type, infer, literal, parse_type

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text(
    st.sampled_from("\"'\\{}$\n\r\t\0\u202e\u2028\u200bé𝄞#ab"), max_size=12
)


def integers(name):
    low, high = INTEGERS[name]
    return st.sampled_from([low, high, 0, 1]) | st.integers(low, high)


SCALARS = {name: integers(name) for name in INTEGERS} | {
    "bool": st.booleans(),
    "f64": st.floats() | st.integers(-(2**60), 2**60),
    "f32": st.floats(width=32),
    "String": TEXT,
    "&str": TEXT,
    "char": st.characters(exclude_categories=["Cs"]),
}


def typed(kind, values):
    return st.tuples(st.just(kind), values)


def leaf(name):
    return (Type(name), SCALARS[name])


def nested(depth):
    """Pairs of a type, at most ``depth`` containers deep, and a value of it."""
    scalars = st.sampled_from(sorted(SCALARS)).map(leaf)
    kinds = scalars
    for _ in range(depth):
        kinds = kinds | kinds.flatmap(_container_of)
    return kinds.flatmap(lambda pair: typed(*pair))


def _container_of(pair):
    kind, values = pair
    return st.sampled_from(
        [
            (Type("Option", (kind,)), st.none() | values),
            (Type("Vec", (kind,)), st.lists(values, max_size=4)),
            (Type("array", (kind,), 2), st.lists(values, min_size=2, max_size=2)),
            (Type("tuple", (kind, Type("bool"))), st.tuples(values, st.booleans())),
            (Type("BTreeMap", (Type("String"), kind)), st.dictionaries(TEXT, values, max_size=3)),
        ]
    )


PLAIN = st.recursive(
    st.booleans() | st.integers(-(2**127), 2**127) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)

PROGRAM = """
#![allow(unused)]
use std::collections::BTreeMap;
trait Show { fn show(&self) -> String; }
macro_rules! display { ($($t:ty)*) => { $(impl Show for $t { fn show(&self) -> String { self.to_string() } })* } }
display! { bool i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }
impl Show for f64 { fn show(&self) -> String { if self.is_nan() { "nan".into() } else { format!("{:x}", self.to_bits()) } } }
impl Show for f32 { fn show(&self) -> String { if self.is_nan() { "nan".into() } else { format!("{:x}", self.to_bits()) } } }
impl Show for str { fn show(&self) -> String { self.bytes().map(|b| format!("{b:02x}")).collect() } }
impl Show for &str { fn show(&self) -> String { (**self).show() } }
impl Show for String { fn show(&self) -> String { self.as_str().show() } }
impl Show for char { fn show(&self) -> String { self.to_string().show() } }
impl Show for () { fn show(&self) -> String { "()".into() } }
impl<T: Show> Show for Option<T> { fn show(&self) -> String { match self { None => "none".into(), Some(x) => format!("some({})", x.show()) } } }
impl<T: Show> Show for Vec<T> { fn show(&self) -> String { self.as_slice().show() } }
impl<T: Show, const N: usize> Show for [T; N] { fn show(&self) -> String { self.as_slice().show() } }
impl<T: Show> Show for [T] { fn show(&self) -> String { format!("[{}]", self.iter().map(Show::show).collect::<Vec<_>>().join(",")) } }
impl<A: Show, B: Show> Show for (A, B) { fn show(&self) -> String { format!("[{},{}]", self.0.show(), self.1.show()) } }
impl<K: Show, V: Show> Show for BTreeMap<K, V> { fn show(&self) -> String {
    format!("{{{}}}", self.iter().map(|(k, v)| format!("{}:{}", k.show(), v.show())).collect::<Vec<_>>().join(",")) } }
"""


def show(value, kind):
    """The output for ``value`` that the test expects from the program."""
    name = kind.name
    if name == "Option":
        return "none" if value is None else f"some({show(value, kind.arguments[0])})"
    if name == "bool":
        return str(value).lower()
    if name in INTEGERS:
        return str(value)
    if name in FLOATS:
        if math.isnan(value):
            return "nan"
        return format(int.from_bytes(struct.pack(">d" if name == "f64" else ">f", value)), "x")
    if name in ("String", "&str", "char"):
        return value.encode().hex()
    if name == "tuple":
        return "[" + ",".join(show(element, inner) for element, inner in zip(value, kind.arguments)) + "]"
    if name == "BTreeMap":
        ordered = sorted(value.items(), key=lambda pair: pair[0].encode())
        key, element = kind.arguments
        return "{" + ",".join(f"{show(k, key)}:{show(v, element)}" for k, v in ordered) + "}"
    return "[" + ",".join(show(element, kind.arguments[0]) for element in value) + "]"


def compile_and_run(folder, pairs):
    """The Rust program's output for each pair of a type and a value."""
    functions = [
        f"fn f{index}() -> String {{ let x: {kind} = {literal(value, kind)}; x.show() }}\n"
        for index, (kind, value) in enumerate(pairs)
    ]
    calls = "".join(f'println!("{{}}", f{index}());' for index in range(len(pairs)))
    source = folder / "literals.rs"
    source.write_text(PROGRAM + "".join(functions) + f"fn main() {{ {calls} }}\n", "utf-8")
    program = folder / "literals"
    command = ["rustc", "--edition=2024", "-Copt-level=0", "-Cdebuginfo=0", "-o", str(program), str(source)]
    compiler = subprocess.run(command, capture_output=True, text=True)
    assert compiler.returncode == 0, compiler.stderr[-4000:]
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()


def collect(strategy, count):
    """Draws ``count`` values, because one compilation for all of them takes a second, but one for each takes
    minutes."""
    drawn = []

    @settings(max_examples=count, phases=[Phase.generate], database=None, deadline=None,
              suppress_health_check=list(HealthCheck))
    @given(strategy)
    def draw(value):
        drawn.append(value)

    draw()
    return drawn


def test_typed_values_come_back_from_rust(tmp_path):
    pairs = collect(nested(2), 300)
    for (kind, value), shown in zip(pairs, compile_and_run(tmp_path, pairs), strict=True):
        assert shown == show(value, kind), (str(kind), value, literal(value, kind))


def test_values_without_a_type_come_back_as_the_type_they_look_like(tmp_path):
    pairs = []
    for value in collect(PLAIN, 400):
        try:
            pairs.append((infer(value), value))
        except LiteralError:
            continue  # a list with different kinds is refused, see below
    assert len(pairs) > 100
    for (kind, value), shown in zip(pairs, compile_and_run(tmp_path, pairs), strict=True):
        assert shown == show(value, kind), (str(kind), value)


@pytest.mark.parametrize(
    ("value", "kind", "written"),
    [
        (1, "f64", "1.0"),
        (1e-3, "f64", "0.001"),
        (float("nan"), "f64", "f64::NAN"),
        (float("-inf"), "f32", "f32::NEG_INFINITY"),
        (1e3, "usize", "1000"),
        ("true", "bool", "true"),
        ('a "b" \\ \n\u202e', "&str", r'"a \"b\" \\ \n\u{202e}"'),
        (5, "String", 'String::from("5")'),
        ("[64, 32]", "Vec<usize>", "vec![64, 32]"),
        ([[1], []], "Vec<Vec<u8>>", "vec![vec![1], vec![]]"),
        (None, "Option<f64>", "None"),
        (3, "Option<f64>", "Some(3.0)"),
        ([1, 2], "[u8; 2]", "[1, 2]"),
        ([1, 0.5], "(u8, f64)", "(1, 0.5)"),
        (["a"], "&'static [&'static str]", '&["a"]'),
        ({"a": 1}, "HashMap<String, f32>", 'std::collections::HashMap::from([(String::from("a"), 1.0)])'),
    ],
)
def test_a_value_takes_the_type_asked_for(value, kind, written):
    assert literal(value, parse_type(kind)) == written


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (256, "u8", "256 is outside `u8`, which holds 0 to 255"),
        (-1, "usize", "-1 is outside `usize`"),
        (2.5, "usize", "2.5 is no `usize` (such as 7)"),
        ("fast", "f64", "'fast' is no `f64` (such as 0.5)"),
        (True, "i32", "True is no `i32`"),
        (1, "bool", "1 is no `bool` (such as true)"),
        (None, "u64", "None is no `u64`"),
        (1e300, "f32", "1e+300 is too large for `f32`"),
        ([1], "[u8; 2]", "[1] has 1 elements, `[u8; 2]` has 2"),
        ("64", "Vec<usize>", "64 is no `Vec<usize>` (such as [1, 2])"),
        ("\ud800", "&str", "half a surrogate pair"),
        ({"a": 1}, "String", "{'a': 1} is no `String`"),
    ],
)
def test_a_value_of_another_type_is_refused(value, kind, message):
    with pytest.raises(LiteralError) as error:
        literal(value, parse_type(kind))
    assert message in str(error.value)


@pytest.mark.parametrize("value", [[1, "a"], [True, 1], {"a": [1], "b": 2}])
def test_a_list_of_mixed_kinds_is_refused(value):
    with pytest.raises(LiteralError, match="mixes kinds"):
        literal(value)


@pytest.mark.parametrize("text", ["Foo", "Vec<Foo>", "Vec<u8, u8>", "Vec<", "fn(u8) -> u8", "&u8", "i7", "", "u8 u8"])
def test_a_type_without_literals_is_none(text):
    assert parse_type(text) is None
