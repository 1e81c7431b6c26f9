"""Random draws in which everything has its turn: cards dealt from a deck that is used up."""

import numpy as np

from lossmith.siamese.pair_sampling import IntArray


def dealt(cards: int, hands: IntArray, rng: np.random.Generator) -> IntArray:
    """Deals hands, one after the other, from a deck that is shuffled anew when it is used up.

    No hand has a card twice, and how often two cards are dealt differs by one at most.

    Args:
        cards: The number of cards in the deck.
        hands: How many cards each hand has, from 0 to `cards`.
        rng: What shuffles.

    Returns:
        The cards, 0 ... cards - 1, of all hands after each other.
    """
    ends = np.cumsum(hands)
    total = int(ends[-1])
    decks = [rng.permutation(cards)]
    for start in range(cards, total, cards):
        hand = np.searchsorted(ends, start, side="right")
        held = decks[-1][cards - start + ends[hand] - hands[hand] :]
        wanted = ends[hand] - start
        deck = rng.permutation(cards)
        free = deck[~np.isin(deck, held)]
        rest = rng.permutation(np.concatenate([free[wanted:], held]))
        decks.append(np.concatenate([free[:wanted], rest]))
    return np.concatenate(decks)[:total]


def filled_up(least: IntArray, total: int, rng: np.random.Generator) -> IntArray:
    """Numbers of at least so much each and of a given sum, the smallest ones raised first.

    Args:
        least: The least number of each.
        total: Their sum, that of the least ones or more.
        rng: What chooses among those that are equal.
    """
    low, high = 0, total + 1
    while high - low > 1:
        level = (low + high) // 2
        low, high = (level, high) if np.maximum(least, level).sum() <= total else (low, level)
    raised = np.maximum(least, low)
    at_level = np.flatnonzero(raised == low)
    raised[rng.permutation(at_level)[: total - raised.sum()]] += 1
    return raised
