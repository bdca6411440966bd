"""Exhaustive proofs of the ledger's rules, in small: `python -m tests.proofs`.

A scenario is a handful of actors: messages of Order Activity or calls of the Orders API, all about one order, and
purges and erasures. Every order of their steps is tried, with every answer that a transaction may lose (written all
the same, written later, never written) and every crash, as far as the scenario allows them. Something must hold in
every state (LTV is the sum over orders), something at every end (what is left follows from receipts and marks alone).

What is written, and under which condition, is the product's: its plans are called and the texts of its conditions are
interpreted. What is modelled is who does which step when. Each rule of the design can be left out (`--without`), to see
which scenario finds it missing.
"""
