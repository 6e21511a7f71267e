"""What a visitor sees first: nothing at the root but what has a reason to be there."""

ALLOWED = {
    ".ci", ".dockerignore", ".env.example", ".gitignore", ".hadolint.yaml", "CHANGELOG.md", "Dockerfile", "Makefile",
    "README.md", "benchmarks", "docker", "docs", "infra", "jobs", "pyproject.toml", "requirements",
    "requirements.lock", "ten", "tests",
}  # fmt: skip


def test_nothing_else_lies_at_the_root(tracked: list[str]) -> None:
    assert {name.split("/")[0] for name in tracked} == ALLOWED


def test_tests_mirror_the_package(tracked: list[str]) -> None:
    own = {"architecture", "docker", "end_to_end", "fuzz", "gpu", "infra", "soak", "standins"}
    packages = {name.split("/")[1] for name in tracked if name.startswith("ten/") and name.count("/") > 1}
    folders = {name.split("/")[1] for name in tracked if name.startswith("tests/") and name.count("/") > 1}
    assert packages <= folders
    assert folders <= packages | own
