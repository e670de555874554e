from typing import Any

from trimtab.tokens import tools_as_billed
from trimtab.types import Tool
from trimtab.typescript import namespace

WEATHER = Tool(
    "get_weather",
    "Gets the weather.\nOnly for today.",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The city, e.g. Paris"},
            "unit": {"type": "string", "enum": ["celsius", "kelvin"], "default": "celsius"},
            "days": {"type": ["integer", "null"]},
            "points": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"lat": {"type": "number", "description": "Degrees"}},
                    "required": ["lat"],
                },
            },
        },
        "required": ["city"],
    },
)


def test_tools_are_written_as_the_models_see_them() -> None:
    assert namespace([WEATHER, Tool("ping")]) == (
        "# Tools\n\n## functions\n\nnamespace functions {\n\n"
        "// Gets the weather.\n// Only for today.\n"
        "type get_weather = (_: {\n"
        "// The city, e.g. Paris\n"
        "city: string,\n"
        'unit?: "celsius" | "kelvin", // default: "celsius"\n'
        "days?: number | null,\n"
        "points?: {\n  // Degrees\n  lat: number,\n}[],\n"
        "}) => any;\n\n"
        "type ping = () => any;\n\n"
        "} // namespace functions"
    )


def test_references_are_followed_and_those_to_themselves_end() -> None:
    node: dict[str, Any] = {
        "type": "object",
        "properties": {"next": {"$ref": "#/$defs/Node"}, "lost": {"$ref": "#/$defs/None"}},
    }
    schema = {"properties": {"root": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}}
    text = namespace([Tool("walk", "", {"type": "object", **schema})])
    assert "root?: {" in text and "lost?: any" in text


def test_a_choice_of_schemas_is_a_union() -> None:
    either = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "integer"}}]}
    text = namespace(
        [Tool("pick", "", {"type": "object", "properties": {"it": either, "x": True}})]
    )
    assert "it?: string | number[]," in text and "x?: any," in text


def test_tools_as_billed_are_known_for_openai_only() -> None:
    billed = tools_as_billed([WEATHER], "gpt-4o")
    assert billed is not None and billed > 40
    assert tools_as_billed([WEATHER], "claude-opus-5") is None
    assert tools_as_billed([], "gpt-4o") == 0
