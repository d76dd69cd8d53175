"""Runs and figures as files that stand alone: one offline page, a table for Embedding Atlas, figures with their recipe."""
