"""docs/cli.md tells of every command and option that the binary has, and of no other."""
import re

from harness import ROOT, CliTest, main

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def options_of(help_text):
    lines = [line for line in help_text.splitlines() if line.lstrip().startswith("-")]
    return {match for line in lines for match in OPTION.findall(line.split("  (")[0].split(" {")[0].split("   ")[0]
                                                                .split("Env:")[0])}


class Help(CliTest):
    def test_documentation_is_complete(self):
        text = (ROOT / "docs/cli.md").read_text()
        parts = re.split(r"^## ", text, flags=re.MULTILINE)
        sections = {part.splitlines()[0].strip(): part for part in parts[1:]}
        shared = {name: set(OPTION.findall(sections[name])) for name in ("Running a model", "The answer")}
        root = self.output("--help")
        commands = re.findall(r"^  ([a-z]+) {2,}", root[root.index("Subcommands:"):], re.MULTILINE)
        self.assertEqual(len(commands), 20)
        self.assertLessEqual(options_of(root) - {"--help"}, set(OPTION.findall(text)))
        for command in commands:
            with self.subTest(command=command):
                self.assertIn(command, sections)
                section = sections[command]
                documented = set(OPTION.findall(section))
                for name, options in shared.items():
                    if f"[{name}]" in section:
                        documented |= options
                found = options_of(self.output(command, "--help")) - {"--help"}
                self.assertEqual(found - documented, set(), "not documented")
                self.assertEqual(documented - found, set(), "documented, but there is no such option")
                self.assertIn(f"rocmforge {command}", section, "no example")

    def test_unknown_commands_are_named(self):
        self.assertIn("there is no command 'nope'", self.failure("nope", "-m", "x", code=2))


if __name__ == "__main__":
    main()
