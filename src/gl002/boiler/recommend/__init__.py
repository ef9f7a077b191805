"""What to do about it: recommendations with their saving, its band, and the limits that were kept.

Each recommender looks at one thing and gives a `Recommendation` or a `Declined` with its reason;
`gl002.boiler.recommend.advice` puts them in order. All is advice: nothing here writes to a plant.
"""
