"""Proofs of the ledger's rules by exhaustive search of small scenarios: `python -m tests.proofs`.

A scenario has a few actors: messages of Order Activity or calls of the Orders API, all about one order, and purges and
erasures. The search tries every order of their steps, every lost answer (its transaction was written, is written later
or never) and every crash, within the limits of the scenario. Some invariants must hold in every state (LTV is the sum
over orders), others in every final state (no data that a purge or an erasure covers remains).

The writes and their conditions are those of the product: its functions that plan writes are called, and the texts of
its conditions are interpreted. The model decides only which actor takes its next step. Each rule of the design can be
left out (`--without`), to see which scenario detects that it is missing.
"""
