"""Changes that an operator makes to an exchange: brokers and their keys, symbols and partitions.

Reads and writes brokers and listings. Pure: listing_plan.
"""
