"""Prints the dependencies that a pyproject.toml names, one a line, as pip's requirements: those of PEP 621, or Poetry's."""
import re
import sys

try:
    import tomllib
except ModuleNotFoundError:
    sys.exit("Python 3.11 or later is needed to read pyproject.toml; a requirements.txt works with any")


def poetry(name, wanted):
    """`^1.2` and `~1.2` are Poetry's own; what else it takes, pip takes as well."""
    extras = ""
    if isinstance(wanted, dict):
        if "version" not in wanted:
            return None
        extras = "[" + ",".join(wanted["extras"]) + "]" if wanted.get("extras") else ""
        wanted = wanted["version"]
    if not isinstance(wanted, str) or wanted.strip() in ("", "*"):
        return name + extras
    parts = []
    for part in wanted.split(","):
        part = part.strip()
        match = re.fullmatch(r"([\^~])(\d+(?:\.\d+)*)(.*)", part)
        if match:
            numbers = [int(number) for number in match.group(2).split(".")]
            # The leftmost number that is not zero stays; after a tilde, the second.
            keep = 1 if match.group(1) == "~" and len(numbers) > 1 else 0
            if match.group(1) == "^":
                keep = next((at for at, number in enumerate(numbers) if number > 0), len(numbers) - 1)
            upper = numbers[: keep + 1]
            upper[-1] += 1
            parts.append(">=" + match.group(2) + match.group(3) + ",<" + ".".join(map(str, upper)))
        else:
            parts.append(part if re.match(r"[<>=!~]", part) else "==" + part)
    return name + extras + ",".join(parts)


with open(sys.argv[1], "rb") as file:
    document = tomllib.load(file)
for line in document.get("project", {}).get("dependencies", []):
    print(line)
for name, wanted in document.get("tool", {}).get("poetry", {}).get("dependencies", {}).items():
    if name.lower() != "python" and (line := poetry(name, wanted)):
        print(line)
