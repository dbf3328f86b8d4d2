"""Override lists from the whole of Hydra's grammar, for the apps of `compose_apps`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.override_parser.types import Quote, QuotedString
from hypothesis import strategies as st

Jobs = list[list[str]]

INTERPOLATIONS = (
    *("${lr}", "${nested.a}", "${size}", "${x}", "${title}", "${not.there}", "a${seed}b${seed}"),
    *("${oc.env:COMPOSE_TEST}", "${oc.env:NOT_THERE}", "${now:%Y-%m}", "${.a}", "${..b}"),
    *("${hydra:job.name}", "${hydra.job.name}", "${oc.select:nested.b,3}", "${unknown_one:1}"),
)
ODD_WORDS = (
    *("", "???", "a-b_c", "/usr/lib", "a.b.c", "50%", "a@b", "x|y", "$a", "*", "1e", "0x1", "on"),
    *("RED", "BLUE", "NaN", "two words", "a\\,b", "a\\=b", "a\\ b", "\\[1\\]", "tru", "null_"),
)
UNPARSABLE = ("[1", "{a:1", "'open", "a b=c", "[1,]x", "f(", "${lr", "a,b]")
SWEEPS = ("1,2", "a,'b c'", "choice(1,2)", "range(1,4)", "interval(0,1)", "glob(*)", "[1],[2]")


def quoted(text: str, quote: Quote) -> str:
    return QuotedString(text=text, quote=quote).with_quotes()


def _texts() -> st.SearchStrategy[str]:
    awkward = st.text(alphabet="ab ,='\"\\:[]{}()$%\t\n#&é漢😀", max_size=8)
    anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    return st.one_of(awkward, anything).map(lambda text: text.replace("${", "$ {"))


QUOTED = st.builds(quoted, _texts(), st.sampled_from(Quote))
INTS = st.one_of(st.integers(-3, 3), st.integers()).map(str)
FLOATS = st.one_of(
    st.floats().map(repr), st.sampled_from(["1e5", "-.5", "1_0.5", "inf", "-INF", "nan", "1."])
)
BOOLS = st.sampled_from(["true", "false", "True", "FALSE"])
NULLS = st.sampled_from(["null", "NULL"])
WORDS = st.sampled_from(ODD_WORDS)
REFERENCES = st.sampled_from(INTERPOLATIONS)
SCALARS = st.one_of(INTS, FLOATS, BOOLS, NULLS, WORDS, QUOTED, REFERENCES)
KEYS = st.one_of(st.sampled_from(["a", "b", "c", "1", "true", "1.5", "null", "e-f"]), INTS)


def _containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lists = st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
    dicts = st.dictionaries(KEYS, inner, max_size=3).map(
        lambda items: "{" + ",".join(f"{key}:{value}" for key, value in items.items()) + "}"
    )
    return st.one_of(lists, dicts)


CONTAINERS = _containers(st.recursive(SCALARS.filter(bool), _containers, max_leaves=4))
CASTS = st.sampled_from(["int('3')", "str([1,2])", "float(1)", "bool(0)", "json_str({a:1})"])
VALUES = st.one_of(
    *(INTS, FLOATS, BOOLS, NULLS, WORDS, QUOTED, REFERENCES, CONTAINERS, CASTS),
    st.sampled_from(UNPARSABLE + SWEEPS),
)


@dataclass(frozen=True)
class Vocabulary:
    """What the overrides of an app are made of.

    Parameters
    ----------
    keys
        Paths of values, there or not.
    choices
        Choices of groups, right and wrong.
    needed
        What every job must choose, or it does not compose.
    """

    keys: Sequence[str]
    choices: Sequence[str]
    needed: Sequence[str] = ()


VOCABULARIES = {
    "net": Vocabulary(
        keys=(
            *("seed", "lr", "name", "flag", "nothing", "must", "twice", "nowhere", "stamp"),
            *("widths", "widths.0", "widths.7", "nested", "nested.a", "nested.b", "nested.b.c"),
            *("nested.b.d", "nested.b.d.1.e", "nested.new", "model.width", "model.head.hidden"),
            *("model.head", "train", "train.optimizer.lr", "train.optimizer.betas", "train.epochs"),
            *("data.size", "classes", "unheard_of", "new.branch.leaf", "model", "optimizer"),
            *("model@other", "seed@lr", "widths[0]", "nested.b[c]", "nested.a\\.b", "$odd", "data"),
        ),
        choices=(
            *("model=small", "model=big", "model=nowhere", "model=null", "+model@more=small"),
            *("model/head=linear", "+model/head@model.second=mlp", "~model", "~model=small"),
            *("~model=big", "optimizer@train.optimizer=adam", "+optimizer@second=sgd"),
            *("~optimizer@train.optimizer", "+experiment=wide", "+experiment=deep"),
            *("+experiment=[wide,deep]", "data=folder", "~data", "++model=big", "model=[small]"),
            *("optimizer=adam", "experiment=wide", "extra=there", "+data@held_out=mnist"),
            *("+optimizer@_global_=sgd", "model=${seed}", "model=small,big", "model=3"),
        ),
        needed=("data=mnist", "data=folder"),
    ),
    "typed": Vocabulary(
        keys=(
            *("size", "scale", "exact", "title", "colour", "sizes", "sizes.0", "table", "table.a"),
            *("table.c", "solver", "solver.steps", "solver.tolerance", "solver.shortcuts"),
            *("solver.schedule", "solver.schedule.factors", "solver.schedule.warmup", "needed"),
            *("solver.schedule.new", "missing", "anything", "anything.x", "unheard_of"),
        ),
        choices=(
            *("solver=slow", "solver=fast", "solver=compose_solver", "~solver", "~solver=fast"),
            *("+solver@anything=slow", "+solver@other=fast", "solver=null", "solver=none_such"),
        ),
    ),
    "knotted": Vocabulary(
        keys=(
            *("title", "copied", "left_out", "separator", "x", "y", "y.z", "jobs", "verbose"),
            *("a", "b", "degrees", "is", "side.a", "turn.degrees", "way.is", "first", "first.n"),
            *("second.n", "first.other", "pair", "unheard_of", "hydra_of_mine"),
        ),
        choices=(
            *("side=right", "side=left", "turn=slight", "turn=sharp", "way=left_slight"),
            *("pair@first=two", "pair@second=one", "+pair@third=one", "~pair@first", "~way"),
            *("~side", "pair=two"),
        ),
    ),
    "unmade": Vocabulary(
        keys=("x", "new"),
        choices=(),
        needed=("title=COMPOSE_TEST", "title=PATH", "title=NONE_SUCH"),
    ),
}

OF_HYDRA = (
    *("hydra.job.name=mine", "+hydra.job.env_set.NEW=1", "hydra.sweep.subdir=s_${hydra.job.num}"),
    *("hydra.verbose=true", "hydra/job_logging=disabled", "hydra.launcher=null", "hydra.mode=RUN"),
    *("~hydra.job.env_set", "hydra.job.env_copy=[COMPOSE_TEST]", "hydra[job].name=mine"),
    *("+hydra={job:{name:mine}}", "hydra.overrides.task=[a]", "hydra.job.chdir=true"),
)


@st.composite
def _slots(draw: st.DrawFn, vocabulary: Vocabulary) -> st.SearchStrategy[str]:
    """Draw a key with its prefix: what gives overrides that differ only in their value."""
    key = draw(st.sampled_from(vocabulary.keys))
    prefix = draw(st.sampled_from(["", "", "", "+", "++", "~"]))
    if prefix == "~":
        bare = st.just(f"~{key}")
        return st.one_of(bare, SCALARS.map(lambda value: f"~{key}={value}"))
    # The values of one kind are many, and now and then there is another.
    kind = draw(
        st.sampled_from([INTS, FLOATS, BOOLS, NULLS, WORDS, QUOTED, REFERENCES, CONTAINERS])
    )
    return st.one_of(kind, kind, kind, VALUES).map(lambda value: f"{prefix}{key}={value}")


@st.composite
def sweeps(draw: st.DrawFn, app: str) -> Jobs:
    """Draw a sweep of an app: jobs that share keys and choices, in several families."""
    vocabulary = VOCABULARIES[app]
    slots = draw(st.lists(_slots(vocabulary), min_size=1, max_size=3))
    choices = st.sampled_from(vocabulary.choices) if vocabulary.choices else st.nothing()
    families = draw(
        st.lists(st.lists(choices, max_size=2) if vocabulary.choices else st.just([]), min_size=1,
                 max_size=2)
    )  # fmt: skip
    jobs = []
    for _ in range(draw(st.integers(4, 7))):
        lines = [draw(slot) for slot in slots] + draw(st.sampled_from(families))
        if vocabulary.needed and draw(st.integers(0, 9)):
            lines.append(draw(st.sampled_from(vocabulary.needed[:1] * 3 + vocabulary.needed[1:])))
        if not draw(st.integers(0, 14)):
            lines.append(draw(st.sampled_from(OF_HYDRA)))
        if not draw(st.integers(0, 3)):
            lines = draw(st.permutations(lines))
        jobs.append(lines)
    return jobs
