from typing import Any

import pytest

from manifests.errors import InputError, RecipeError
from trainer.prompts import check_template, parse_example


def texts(record: Any, objective: str, template: str | None = None) -> list[list[tuple[str, bool]]]:
    example = parse_example(record, objective, template, "data.jsonl:7")
    return [[(piece.text, piece.is_answer) for piece in segment] for segment in example.segments]


@pytest.mark.parametrize(
    ("objective", "record", "prompt", "answer"),
    [
        ("question_answering", {"question": "Who?", "answer": "Ann"}, "Question:\nWho?\n\nAnswer:\n", "Ann"),
        (
            "question_answering",
            {"context": "Ann ran.", "question": "Who?", "answer": "Ann"},
            "Ann ran.\n\nQuestion:\nWho?\n\nAnswer:\n",
            "Ann",
        ),
        ("summarization", {"document": "Long.", "summary": "Short."}, "Long.\n\nSummary:\n", "Short."),
        ("translation", {"source": "eins", "target": "one"}, "eins\n\nTranslation:\n", "one"),
        (
            "translation",
            {"source": "eins", "target": "one", "source_language": "de", "target_language": "en"},
            "de:\neins\n\nen:\n",
            "one",
        ),
        ("translation", {"source": "eins", "target": "one", "target_language": "en"}, "eins\n\nen:\n", "one"),
        ("instruction", {"prompt": "Hi", "response": "Ho"}, "User:\nHi\n\nAssistant:\n", "Ho"),
        (
            "instruction",
            {"instruction": "Add", "input": "1 2", "output": "3"},
            "User:\nAdd\n\n1 2\n\nAssistant:\n",
            "3",
        ),
        ("instruction", {"instruction": "Add", "input": "", "output": "3"}, "User:\nAdd\n\nAssistant:\n", "3"),
    ],
)
def test_each_objective_has_a_prompt_and_an_answer(
    objective: str, record: dict[str, str], prompt: str, answer: str
) -> None:
    assert texts(record, objective) == [[(prompt, False), (answer, True)]]


def test_only_what_the_assistant_says_is_learnt_from_a_conversation() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho"},
        {"role": "user", "content": "Bye"},
        {"role": "assistant", "content": "So long"},
    ]
    assert texts({"messages": messages}, "instruction") == [
        [
            ("System:\nBe brief.\n\nUser:\nHi\n\nAssistant:\n", False),
            ("Ho", True),
            ("\n\nUser:\nBye\n\nAssistant:\n", False),
            ("So long", True),
        ]
    ]


def test_a_conversation_of_one_turn_is_a_prompt_with_a_response() -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    assert texts({"messages": messages}, "instruction") == texts({"prompt": "Hi", "response": "Ho"}, "instruction")


def test_a_pair_is_two_segments_the_preferred_one_first() -> None:
    record = {"prompt": "Hi", "chosen": "Ho", "rejected": "Hum"}
    prompt = ("User:\nHi\n\nAssistant:\n", False)
    assert texts(record, "preference") == [[prompt, ("Ho", True)], [prompt, ("Hum", True)]]


def test_labels_may_be_texts_or_whole_numbers() -> None:
    labels = [parse_example({"text": "x", "label": label}, "classification", None, "").label for label in ("good", 1)]
    assert labels == ["good", "1"]
    with pytest.raises(InputError, match=r"data.jsonl:7: key 'label' is true or false, not a text"):
        texts({"text": "x", "label": True}, "classification")


def test_a_template_of_the_config_takes_the_place_of_the_objective_s_own() -> None:
    record = {"document": "Long {text}.", "summary": "Short."}
    assert texts(record, "summarization", "{{TL;DR}} {document} =>") == [
        [("{TL;DR} Long {text}. =>", False), ("Short.", True)]
    ]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{documnet}", r"summarization has no key 'documnet'; did you mean 'document'\? Known keys: document"),
        ("{summary}", r"summarization has no key 'summary'"),
        ("no key", r"names no key: every prompt would be the same"),
        ("{document.__class__}", r"is not a plain key in braces"),
        ("{document!r}", r"is not a plain key in braces"),
        ("{document", r"expected '}' before end of string"),
        ("{}", r"is not a plain key in braces"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused_before_any_data_is_read(template: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        check_template("summarization", template)


@pytest.mark.parametrize(
    ("objective", "record", "message"),
    [
        ("summarization", {"document": "x"}, r"data.jsonl:7: key 'summary' is missing; there are \['document'\]"),
        ("summarization", {"summary": "x"}, r"key 'document' is missing; the line has \['summary'\]\. An example of"),
        ("summarization", {"document": 3, "summary": "x"}, r"key 'document' is the number 3, not a text"),
        ("summarization", {"document": None, "summary": "x"}, r"key 'document' is null, not a text"),
        ("summarization", ["x"], r"data.jsonl:7: is a list, not an object"),
        ("summarization", {"document": "\ud800", "summary": "x"}, r"has half a surrogate pair at character 0"),
        (
            "instruction",
            {"text": "x"},
            r"'prompt', 'response' or 'instruction', 'output', 'input' \(optional\) or 'mess",
        ),
        ("instruction", {"messages": []}, r"key 'messages' is a list, not a list of one or more"),
        ("instruction", {"messages": ["x"]}, r"data.jsonl:7: message 1 is a text, not an object"),
        (
            "instruction",
            {"messages": [{"role": "bot", "content": "x"}]},
            r"message 1: key 'role' is 'bot'; known roles",
        ),
        ("instruction", {"messages": [{"role": "user", "content": 1}]}, r"message 1: key 'content' is the number 1"),
        ("instruction", {"messages": [{"role": "user", "content": "x"}]}, r"the last message is the user's"),
        ("preference", {"prompt": "x", "chosen": "y"}, r"key 'rejected' is missing"),
    ],
)
def test_a_wrong_line_is_named_with_its_key(objective: str, record: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        texts(record, objective)


def test_a_template_asks_for_its_keys_in_every_line() -> None:
    record = {"question": "Who?", "answer": "Ann"}
    with pytest.raises(InputError, match=r"key 'context' is missing or empty, and examples.template names it"):
        texts(record, "question_answering", "{context} {question}")
    with pytest.raises(InputError, match=r"has 'messages', which have a format of their own"):
        texts({"messages": []}, "instruction", "{prompt}")
