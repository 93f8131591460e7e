"""Report: what a journal says about a batch, as figures, as one page of HTML, and as a story.

figures   the frozen records of a report
collect   the figures of a journal, from sums that SQLite makes
limits    what limited the batch, and for how long
story     the decisions of the controller in sentences
svg       axes, lines, areas and bars
charts    the plots of a report
page      the page, one file without scripts
"""
