#!/bin/bash
#SBATCH --job-name=paceline
#SBATCH --array=0-7
#SBATCH --cpus-per-task=1
# Eight tasks share prompts.jsonl: sbatch slurm-array.sh. Submitted again, it makes the calls that are missing.
# One task alone: paceline run ... --shard 3/8. Afterwards: paceline merge results.jsonl -o all.jsonl
# Run it in a folder that is not on a network file system, on which SQLite cannot lock journals.
set -euo pipefail
exec paceline run prompts.jsonl -o results.jsonl -m "${MODEL:-gpt-5-mini}" --shard auto --quiet
