"""k-sparse probing: how much of a labelled concept do k features hold?"""
