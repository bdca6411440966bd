"""Tests every command on the Markdown pages (README.md, docs/ and others).

Fenced blocks of `sh`, `bash`, `shell` or `console` run on the local stack. All blocks of a page run in one shell, from
top to bottom. Each command must exit with 0, and curl fails on an answer of 400 or more. The pages run one after
another, README.md first, with one account: `http://127.0.0.1:8000`, account 1234567 and its keys are replaced by the
local stack's URL and a new account. So each page uses its own order ids and people, or creates an account. If a `text`
or `json` block with the word `output` follows, the command must print its text; `…` matches any text.

Options after the language:

    status=404     curl's answer must have this status
    wait           the block is repeated, for at most two minutes, until it succeeds with the expected output
    keep=job_id    this field of the printed JSON becomes a shell variable for the following blocks
    proof=KIND     the block cannot run here, and is checked in another way: proofs.py lists the kinds

`aws`, `sam`, `make`, `pip`, `npm`, `git` and `.venv/bin/python` never run: substitute.py replaces them. A page works on
copies of files. `TILLBOOK_KEY=…` and `=tillbook-prod` are replaced by an admin key and the name of the local stack.

Commands in code spans of the text, `like this`, are checked, too: their targets, modules and options must exist.
"""
