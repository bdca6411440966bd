"""Every command of README.md, docs/ and the other pages is proven here.

A fenced block of `sh`, `bash` or `console` runs, on the local stack, with all blocks of its page in one shell, top to
bottom: each command must end with 0, and curl fails on an answer of 400 or more. Pages run one after the other, README
first, for one reader: `http://127.0.0.1:8000`, account 1234567 and its keys stand for an account that is fresh at the
first page. So a page has order ids and people of its own, or an account. A `text` or `json` block right below with the
word `output` is what it prints; `…` matches what changes from run to run.

What can be said behind the language:

    status=404     the block's answer is refused with this status
    wait           it is asked again, for two minutes at most, until it prints what is shown
    keep=job_id    this field of the JSON that it prints is kept as a shell variable, for the blocks below
    proof=KIND     it cannot run here, and is proven otherwise: see proofs.py for the kinds

`aws`, `sam`, `make`, `pip`, `npm`, `git` and `.venv/bin/python` never run: they are stood in for, see stand_in.py.
A page works on copies. `TILLBOOK_KEY=…` is an admin key, `tillbook-prod` the local stack.

Commands in the text, `like this`, are proven by their program: their targets, modules, options must exist.
"""
