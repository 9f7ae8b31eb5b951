"""Commands of the laboratory: data sets, training, evaluation, rendering, speed."""
