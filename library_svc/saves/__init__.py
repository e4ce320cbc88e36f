"""Cloud saves: slots, their versions, conflicts, the quota, and the objects behind them."""
