"""What a program of one's own calls: tuning, comparisons, contests, replays."""
