"""Recipes are parsed strictly, and the shipped ones are whole."""

import pytest

from g2rec.errors import ConfigError
from g2rec.recipes import dump_recipe, list_recipes, load_recipe, parse_recipe

MINIMAL = "name: tiny\ntitle: Tiny\nlicence: none\nsources: [{reader: synthetic}]\n"
SHIPPED = {
    "amazon-beauty",
    "amazon-sports",
    "amazon-toys",
    "gowalla",
    "gowalla-checkins",
    "ml-100k",
    "movietweetings-100k",
    "online-retail",
    "synthetic",
}


def test_every_shipped_recipe_loads_and_survives_a_round_trip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipes = list_recipes()
    assert {recipe.name for recipe in recipes} == SHIPPED
    for recipe in recipes:
        assert load_recipe(recipe.name) == recipe
        assert parse_recipe(dump_recipe(recipe), recipe.name) == recipe


def test_a_users_own_recipe_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "ml-100k.yaml").write_text(MINIMAL)
    assert load_recipe("ml-100k").title == "Tiny"
    assert load_recipe("graphs/ml-100k.yaml").title == "Tiny"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "colour: red\n", "unknown key colour; known keys are name, title"),
        (MINIMAL + "filters: {min_user: 5}\n", "filters has the unknown key min_user"),
        (MINIMAL + "filters: {min_user_events: five}\n", "should be a whole number, got str 'five'"),
        (MINIMAL + "ties: random\n", "should be one of shuffle, file_order"),
        (MINIMAL + "content: {columns: title}\n", "should be a list"),
        (MINIMAL.replace("title: Tiny\n", ""), "lacks the key title"),
        (MINIMAL.replace("[{reader: synthetic}]", "[{reader: recbole}]"), "needs exactly one of archive"),
        (MINIMAL.replace("[{reader: synthetic}]", "[{reader: recbole, wheel: recbole}]"), "name==version"),
        (MINIMAL.replace("[{reader: synthetic}]", "[]"), "lists no sources"),
        ("a: [", "is not valid YAML"),
        ("- 1", "should be a mapping"),
    ],
)
def test_a_malformed_recipe_is_one_sentence(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_recipe(text, "tiny.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"no recipe ml-1m; known recipes are amazon-beauty, .*synthetic"):
        load_recipe("ml-1m")
    with pytest.raises(ConfigError, match=r"no recipe file nowhere\.yaml"):
        load_recipe("nowhere.yaml")
