"""The report of a check, for people."""


def report_text(report):
    """Writes down what a check found.

    Args:
        report: dict, see `check_export`.

    Returns:
        A string in Markdown.

    Example:

    >>> text = report_text({
    ...     "failures": [], "bytes": 2_000_000, "load_seconds": 0.5,
    ...     "tensorflow": "2.20.0", "operations": ["MatMul", "NormalizeUTF8"],
    ...     "from_tensorflow_text": ["NormalizeUTF8"],
    ...     "signatures": {"encode": {
    ...         "is_compared": True, "num_inputs": 3, "num_different": 0,
    ...         "largest_difference": 1e-7, "failures": [],
    ...         "milliseconds": {"1": {"p50": 2.0, "p95": 3.0, "calls": 9}}}}})
    >>> print(text.splitlines()[-1])
    `MatMul`, **`NormalizeUTF8`**
    """
    lines = [
        "# Check of the SavedModel",
        "",
        *_verdict(report),
        "",
        f"{report['bytes'] / 1e6:.1f} MB, loaded in "
        f"{report['load_seconds']:.1f} s by TensorFlow {report['tensorflow']}.",
        "",
        *_signatures(report["signatures"]),
        "",
        *_times(report["signatures"]),
        "",
        "## Operations",
        "",
        "In bold those of TensorFlow Text. Nothing asks for XLA."
        if not report.get("xla_marks")
        else "In bold those of TensorFlow Text.",
        "",
        ", ".join(
            f"**`{name}`**"
            if name in report["from_tensorflow_text"]
            else f"`{name}`"
            for name in report["operations"]
        ),
    ]
    return "\n".join(lines) + "\n"


def _verdict(report):
    if not report["failures"]:
        return ["Everything is as it should be."]
    return ["**It fails:**", "", *(f"- {text}" for text in report["failures"])]


def _signatures(signatures):
    lines = [
        "| signature | inputs tried | answered differently than live "
        "| largest difference of a float |",
        "|---|---|---|---|",
    ]
    for name, found in signatures.items():
        different = largest = "not compared"
        if found["is_compared"]:
            different = str(found["num_different"])
            largest = f"{found['largest_difference']:.1e}"
        lines.append(
            f"| `{name}` | {found['num_inputs']} | {different} | {largest} |"
        )
    return lines


def _times(signatures):
    timed = {
        name: found["milliseconds"]
        for name, found in signatures.items()
        if found["milliseconds"]
    }
    if not timed:
        return []
    sizes = list(next(iter(timed.values())))
    lines = [
        "Milliseconds, p50 / p95, of ordinary texts in a batch:",
        "",
        f"| signature | {' | '.join(sizes)} |",
        "|---|" + "---|" * len(sizes),
    ]
    for name, times in timed.items():
        cells = [
            f"{times[s]['p50']:.1f} / {times[s]['p95']:.1f}" for s in sizes
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines
